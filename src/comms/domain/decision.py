"""May this message be handed over now? One pure function: facts in, verdict out.

It is asked again for every attempt, because what was true at acceptance need not be true at
the hour of sending. The facts are kept beside the verdict, so that replaying them gives the
same answer for as long as the message is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from comms.domain.permission import Permission, refusal


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision rests on. Times are aware; after `deadline` sending makes no sense any more."""

    now: datetime
    deadline: datetime
    usable_providers: int
    hipaa: bool
    permission: Permission
    erased: bool = False
    """The person's key is destroyed: neither the recipient nor the content can be read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`verdict` is send, expire, suppress or wait; `rule` says what decided, `reason` tells a person."""

    verdict: str
    rule: str
    reason: str

    def words(self) -> dict[str, str]:
        """As it is kept and shown."""
        return {"verdict": self.verdict, "rule": self.rule, "reason": self.reason}


ERASED = Verdict("suppress", "person_erased", "The person was erased; nothing of the message can be read.")
TOO_LATE = Verdict("expire", "max_late", "It is later than the template's max_late allows.")


def decide(facts: Facts) -> Verdict:
    """The first rule that applies decides."""
    if facts.erased:
        return ERASED
    if facts.now > facts.deadline:
        return TOO_LATE
    if refused := refusal(facts.permission):
        return Verdict("suppress", refused.code, refused.sentence)
    if facts.usable_providers == 0:
        need = " that may carry PHI" if facts.hipaa else ""
        return Verdict("wait", "no_route", f"The brand's route for this channel has no provider{need} now.")
    return Verdict("send", "clear", "Nothing speaks against it.")
