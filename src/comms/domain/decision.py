"""May this message be handed over now? One pure function: facts in, verdict out.

It is asked again for every attempt, because what was true at acceptance need not be true at
the hour of sending. The facts are kept beside the verdict, so that replaying them gives the
same answer for as long as the message is kept. The first rule that applies decides:

    person_erased      nobody can read any more whom it is for           suppress
    superseded         another message has replaced it                   cancel
    max_late           it is later than the template allows              expire
    suppressed_*,      the address, the consent, the person's own        suppress
    no_consent,        switch: `permission` says which
    opted_out,
    preference_off
    guard_not_met      a fact that the caller named is not as it must be suppress
    quiet_hours        the person's clock shows a quiet hour             defer, to their end
    frequency_cap      the person has had as many as the brand allows    suppress, or defer until there
                                                                         is room; or it passes
    brand_held         the brand is on hold                              wait
    no_route           no provider may carry it now                      wait
    clear              else                                              send

Lateness comes before all that is known of the person: what waited through an outage is ended
without asking for more, and the same message must end by the same name whoever ends it. It counts
from the moment at which the message could last have gone: who reads the facts moves `deadline` past
quiet hours, and a deferral starts it anew. `wait` is tried again like a provider that is busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from comms.domain.caps import Counted
from comms.domain.permission import CODES as NOT_PERMITTED
from comms.domain.permission import Permission, refusal
from comms.domain.quiet import Quiet
from comms.domain.schedule import show


class Guard(NamedTuple):
    """A fact that must have a value: keyed hashes, in hex, of the one it must have and of the one it has.

    `found` and `since` are None where nobody has said anything.
    """

    id: str
    wanted: str
    found: str | None = None
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision rests on. Times are aware; after `deadline` sending makes no sense any more.

    `quiet` and `caps` are None and empty where none cover the message.
    """

    now: datetime
    deadline: datetime
    usable_providers: int
    hipaa: bool
    permission: Permission
    guards: tuple[Guard, ...] = ()
    quiet: Quiet | None = None
    caps: tuple[Counted, ...] = ()
    superseded_by: str | None = None
    is_held: bool = False
    erased: bool = False
    """The person's key is destroyed: neither the recipient nor the content can be read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`verdict` is send, defer, suppress, expire, cancel or wait; `rule` says what decided, `reason` tells a
    person. `until`: when a deferred message is looked at again.
    """

    verdict: str
    rule: str
    reason: str
    until: datetime | None = None

    def words(self) -> dict[str, Any]:
        """As it is kept and shown."""
        made = {"verdict": self.verdict, "rule": self.rule, "reason": self.reason}
        return made | ({"until": show(self.until)} if self.until else {})


ERASED = Verdict("suppress", "person_erased", "The person was erased; nothing of the message can be read.")
SUPERSEDED = Verdict("cancel", "superseded", "Another message has replaced it.")
TOO_LATE = Verdict("expire", "max_late", "It is later than the template's max_late allows.")
GUARD_NOT_MET = Verdict("suppress", "guard_not_met", "A fact that it is sent for is not as send_if wants it.")
CAPPED = Verdict(
    "suppress", "frequency_cap", "The person has had as many messages as the brand's limits allow."
)
HELD = Verdict("wait", "brand_held", "The brand is on hold.")
CLEAR = Verdict("send", "clear", "Nothing speaks against it.")

CODES = (*NOT_PERMITTED, GUARD_NOT_MET.rule, CAPPED.rule)
"""All that a suppressed message may be suppressed for."""


def decide(facts: Facts) -> Verdict:
    """The first rule that applies decides."""
    for rule in _RULES:
        if verdict := rule(facts):
            return verdict
    return CLEAR


def _erased(facts: Facts) -> Verdict | None:
    return ERASED if facts.erased else None


def _superseded(facts: Facts) -> Verdict | None:
    return SUPERSEDED if facts.superseded_by else None


def _late(facts: Facts) -> Verdict | None:
    return TOO_LATE if facts.now > facts.deadline else None


def _refused(facts: Facts) -> Verdict | None:
    refused = refusal(facts.permission)
    return Verdict("suppress", refused.code, refused.sentence) if refused else None


def _guarded(facts: Facts) -> Verdict | None:
    return GUARD_NOT_MET if any(each.found != each.wanted for each in facts.guards) else None


def _quiet(facts: Facts) -> Verdict | None:
    if facts.quiet is None or facts.quiet.until is None:
        return None
    hours = f"{facts.quiet.start} to {facts.quiet.end}, {facts.quiet.zone.name}"
    return Verdict(
        "defer", "quiet_hours", f"It is quiet hours where the person is ({hours}).", facts.quiet.until
    )


def _capped(facts: Facts) -> Verdict | None:
    """A drop weighs more than a deferral, since it will not be undone by time; of deferrals the longest."""
    full = [each for each in facts.caps if each.is_full and each.cap.then != "pass"]
    if not full:
        return None
    if any(each.cap.then == "drop" for each in full):
        return CAPPED
    return Verdict("defer", CAPPED.rule, CAPPED.reason, max(each.frees for each in full))


def _held(facts: Facts) -> Verdict | None:
    return HELD if facts.is_held else None


def _unroutable(facts: Facts) -> Verdict | None:
    if facts.usable_providers:
        return None
    need = " that may carry PHI" if facts.hipaa else ""
    return Verdict("wait", "no_route", f"The brand's route for this channel has no provider{need} now.")


_RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    _erased, _superseded, _late, _refused, _guarded, _quiet, _capped, _held, _unroutable,
)  # fmt: skip
