"""What would have had to be otherwise for a message to go: found by asking the judgement again.

Each rule that stops a message has a remedy: facts under which it would not have applied. The
remedies are put in one after the other until nothing speaks against it any more, so that what is
said is complete, and true of the very function that decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from comms.domain.decision import Facts, decide
from comms.domain.explanation import spoken
from comms.domain.permission import Evidence, Permission
from comms.domain.schedule import show

_Remedy = tuple[str, Facts]


def otherwise(facts: Facts) -> list[str]:
    """The conditions under which it would have been sent, all of them together; none: it was to be sent."""
    conditions: list[str] = []
    while (verdict := decide(facts)).verdict != "send":
        condition, facts = _remedy(verdict.rule)(facts)
        conditions.append(condition)
    return conditions


def _remedy(rule: str) -> Callable[[Facts], _Remedy]:
    if rule.startswith("suppressed_"):
        return lambda facts: _lifted(facts, rule.removeprefix("suppressed_"))
    return _REMEDIES[rule]


def _lifted(facts: Facts, reason: str) -> _Remedy:
    standing = [
        each for each in facts.permission.evidence if each.kind == "suppression" and each.says == reason
    ]
    ids = ", ".join(each.id for each in standing)
    rest = tuple(each for each in facts.permission.evidence if each not in standing)
    return f"suppression {ids} of the address ({reason}) had been lifted", _allowing(facts, rest)


def _consented(facts: Facts) -> _Remedy:
    given = Evidence("consent", "", "opted_in", "")
    condition = f"the person had consented to the category {facts.permission.category} on this channel"
    return condition, _allowing(facts, (*facts.permission.evidence, given))


def _not_withdrawn(facts: Facts) -> _Remedy:
    [consent] = [each for each in facts.permission.evidence if each.kind == "consent"]
    rest = tuple(each for each in facts.permission.evidence if each is not consent)
    given = replace(consent, says="opted_in")
    return f"consent {consent.id} had not been withdrawn on {consent.since}", _allowing(facts, (*rest, given))


def _switched_on(facts: Facts) -> _Remedy:
    off = [each for each in facts.permission.evidence if each.kind == "preference"]
    rest = tuple(each for each in facts.permission.evidence if each not in off)
    return f"the person had not switched the category off (preference {off[0].id})", _allowing(facts, rest)


def _as_wanted(facts: Facts) -> _Remedy:
    ids = ", ".join(each.id for each in facts.guards if each.found != each.wanted)
    met = tuple(each._replace(found=each.wanted) for each in facts.guards)
    return f"fact {ids} had been as send_if wants it", replace(facts, guards=met)


def _in_time(facts: Facts) -> _Remedy:
    return f"it could have gone by {show(facts.deadline)}", replace(facts, now=facts.deadline)


def _by_day(facts: Facts) -> _Remedy:
    zone = facts.quiet.zone.name if facts.quiet else ""
    return f"it had not been quiet hours in {zone}", replace(facts, quiet=None)


def _with_room(facts: Facts) -> _Remedy:
    full = next(each for each in facts.caps if each.is_full and each.cap.then != "pass")
    rest = tuple(each for each in facts.caps if each is not full)
    span = spoken(full.cap.seconds)
    return f"the person had had fewer than {full.cap.count} such message(s) in {span}", replace(
        facts, caps=rest
    )


_REMEDIES: dict[str, Callable[[Facts], _Remedy]] = {
    "person_erased": lambda facts: ("the person had not been erased", replace(facts, erased=False)),
    "superseded": lambda facts: ("no other message had replaced it", replace(facts, superseded_by=None)),
    "max_late": _in_time,
    "no_consent": _consented,
    "opted_out": _not_withdrawn,
    "preference_off": _switched_on,
    "guard_not_met": _as_wanted,
    "quiet_hours": _by_day,
    "frequency_cap": _with_room,
    "brand_held": lambda facts: ("the brand had not been on hold", replace(facts, is_held=False)),
    "no_route": lambda facts: ("a provider could have carried it", replace(facts, usable_providers=1)),
}


def _allowing(facts: Facts, evidence: tuple[Evidence, ...]) -> Facts:
    return replace(facts, permission=Permission(facts.permission.category, evidence))
