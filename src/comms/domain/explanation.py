"""The facts of a decision as they are kept, read back, and said to a person.

`kept` and `read` are each other's inverse as far as `decide` looks: what is read back gives the
verdict that was kept. Nothing here is personal: what was sealed is there by its id or its hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from comms.domain.brand import Cap
from comms.domain.caps import Counted
from comms.domain.decision import Facts, Guard
from comms.domain.permission import TRANSACTIONAL, Evidence, Permission
from comms.domain.quiet import Quiet, Zone
from comms.domain.schedule import show

Fact = dict[str, Any]
"""`kind`, the `id` of the row that it comes from, and what it says."""


def kept(facts: Facts, message_id: str, brand_id: str, template_id: str) -> list[Fact]:
    """As they are kept beside the verdict."""
    made: list[Fact] = [
        {"kind": "lateness", "id": message_id, "deadline": show(facts.deadline)},
        {"kind": "route", "id": brand_id, "usable_providers": facts.usable_providers, "hipaa": facts.hipaa},
        {"kind": "category", "id": template_id, "says": facts.permission.category},
        *(each.words() for each in facts.permission.evidence),
        *(_kept_guard(each) for each in facts.guards),
        *(_kept_cap(each, brand_id) for each in facts.caps),
    ]
    if facts.quiet:
        made += _kept_quiet(facts.quiet, brand_id)
    if facts.is_held:
        made.append({"kind": "hold", "id": brand_id})
    if facts.erased:
        made.append({"kind": "person", "id": message_id, "says": "erased"})
    return made


def read(decided_at: str, facts: list[Fact]) -> Facts:
    """Back from what was kept. A decision that needed few facts has few: of the rest nothing was said."""
    by_kind: defaultdict[str, list[Fact]] = defaultdict(list)
    for each in facts:
        by_kind[each["kind"]].append(each)
    now = _instant(decided_at)
    [route, *_] = by_kind["route"] or [{"usable_providers": 0, "hipaa": False}]
    [lateness, *_] = by_kind["lateness"] or [{"deadline": decided_at}]
    [category, *_] = by_kind["category"] or [{"says": TRANSACTIONAL}]
    evidence = [each for kind in ("consent", "preference", "suppression") for each in by_kind[kind]]
    return Facts(
        now=now,
        deadline=_instant(lateness["deadline"]),
        usable_providers=route["usable_providers"],
        hipaa=route["hipaa"],
        permission=Permission(category["says"], tuple(msgspec.convert(each, Evidence) for each in evidence)),
        guards=tuple(
            Guard(each["id"], each["wanted"], each.get("found"), each.get("since"))
            for each in by_kind["guard"]
        ),
        quiet=next((_quiet(each, by_kind["zone"]) for each in by_kind["quiet_hours"]), None),
        caps=tuple(map(_cap, by_kind["cap"])),
        superseded_by=next((each["id"] for each in by_kind["superseded"]), None),
        is_held=bool(by_kind["hold"]),
        erased=bool(by_kind["person"]),
    )


def in_words(facts: list[Fact]) -> list[str]:
    """A sentence a fact, for somebody who does not know the program."""
    return [_SENTENCES[each["kind"]](each) for each in facts if each["kind"] in _SENTENCES]


def _kept_guard(guard: Guard) -> Fact:
    said = {"found": guard.found, "since": guard.since} if guard.found else {}
    return {"kind": "guard", "id": guard.id, "wanted": guard.wanted, **said}


def _kept_cap(counted: Counted, brand_id: str) -> Fact:
    sent = [{"id": message_id, "at": show(at)} for message_id, at in counted.sent]
    return {"kind": "cap", "id": brand_id, **msgspec.to_builtins(counted.cap), "sent": sent}


def _kept_quiet(quiet: Quiet, brand_id: str) -> list[Fact]:
    since = {"since": quiet.zone.since} if quiet.zone.since else {}
    until = {"until": show(quiet.until)} if quiet.until else {}
    return [
        {"kind": "zone", "id": quiet.zone.id, "says": quiet.zone.name, **since},
        {
            "kind": "quiet_hours",
            "id": brand_id,
            "start": quiet.start,
            "end": quiet.end,
            "local": quiet.local,
            **until,
        },
    ]


def _quiet(fact: Fact, zones: list[Fact]) -> Quiet:
    zone = Zone(zones[0]["says"], zones[0]["id"], zones[0].get("since"))
    until = _instant(fact["until"]) if "until" in fact else None
    return Quiet(fact["start"], fact["end"], zone, fact["local"], until)


def _cap(fact: Fact) -> Counted:
    members = {name: fact[name] for name in Cap.__struct_fields__ if name in fact}
    return Counted(
        msgspec.convert(members, Cap), tuple((each["id"], _instant(each["at"])) for each in fact["sent"])
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _said_cap(fact: Fact) -> str:
    of = f"in the category {fact['category']}" if "category" in fact else "besides transactional ones"
    on = f" on {fact['channel']}" if "channel" in fact else ""
    had = len(fact["sent"])
    return (
        f"The brand allows {fact['count']} message(s) {of}{on} to one person in {spoken(fact['seconds'])}; "
        f"the person had had {'as many' if had >= fact['count'] else had}."
    )


def _said_consent(fact: Fact) -> str:
    did = "consented to" if fact["says"] == "opted_in" else "withdrew consent to"
    return f"The person {did} this category on this channel on {fact['since']} (consent {fact['id']})."


def _said_preference(fact: Fact) -> str:
    did = "on" if fact["says"] == "enabled" else "off"
    return f"The person switched this category {did} on {fact['since']} (preference {fact['id']})."


def _said_suppression(fact: Fact) -> str:
    said = f"The address has been suppressed since {fact['since']}: {fact['says']}"
    return f"{said} (suppression {fact['id']})."


def _said_guard(fact: Fact) -> str:
    name = f"The fact {fact['name']}" if "name" in fact else f"The fact {fact['id']}"
    wanted = f"{fact['wants']}, as it must be" if "wants" in fact else "as it must be"
    if "found" not in fact:
        return f"{name} was not set."
    return f"{name} was {'' if fact['found'] == fact['wanted'] else 'not '}{wanted} (since {fact['since']})."


def _said_quiet(fact: Fact) -> str:
    state = f"so they were on, until {fact['until']}" if "until" in fact else "so they were off"
    hours = f"from {fact['start']} to {fact['end']}"
    return f"Quiet hours are {hours}; the clock showed {fact['local'][11:16]}, {state}."


_SENTENCES: dict[str, Callable[[Fact], str]] = {
    "lateness": lambda fact: f"After {fact['deadline']} it would have come too late.",
    "route": lambda fact: f"{fact['usable_providers']} provider(s) could carry it.",
    "category": lambda fact: f"Its template's category is {fact['says']}.",
    "consent": _said_consent,
    "preference": _said_preference,
    "suppression": _said_suppression,
    "guard": _said_guard,
    "cap": _said_cap,
    "zone": lambda fact: f"The clock that counts is that of {fact['says']}.",
    "quiet_hours": _said_quiet,
    "hold": lambda _fact: "The brand was on hold.",
    "person": lambda _fact: "The person was erased.",
    "device": lambda fact: f"No provider of the route reaches the device {fact['id']}.",
    "share": lambda fact: (
        f"{fact['weight']} of {fact['of']} messages go to {fact['id']} first, and so did this."
    ),
    "superseded": lambda fact: f"Message {fact['id']} has replaced it.",
    "outcome": lambda fact: f"It was handed over, and the provider's answer was: {fact['says']}.",
    "cancelled": lambda fact: f"It was cancelled on {fact['at']}.",
}


def spoken(seconds: int) -> str:
    """86400 is `1 day`."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds > size else ''}"
    return f"{seconds} seconds"
