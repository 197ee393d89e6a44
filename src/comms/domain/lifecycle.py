"""The life of a message, as a table.

Two rules. Everything that may change a status stands in `TRANSITIONS`; nothing else in
comms decides what may follow what. And this file knows no clock, no database and no
provider: it says what is allowed, `store/sql` does it, and a test holds the header of
every statement there (`-- cancel: scheduled -> cancelled`) to this table.

How to read it. A message waits as *scheduled*. One worker claims it (*sending*) under a
fence: the attempt's number and the worker's lease. What the provider answered ends the
attempt; where its answer was lost the message is *unknown* until somebody knows. A message
that can still move has a row in the queue; one that can't has its final status in the
message's own row, and there is no way back from there.

The one surprise: `rescue` returns a message to *scheduled* although a worker had claimed
it. That is safe because the worker had not begun to hand it over (its attempt carries no
mark), or because a second call is: the provider knows our key, or the template prefers a
duplicate. Where neither holds, `lose` is the event, never `rescue`.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a message stands. The words are what callers see."""

    SCHEDULED = "scheduled"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"


S = Status

TRANSITIONS: dict[str, dict[Status, Status]] = {
    # event        from -> to
    "claim": {S.SCHEDULED: S.SENDING},
    "cancel": {S.SCHEDULED: S.CANCELLED},
    "reschedule": {S.SCHEDULED: S.SCHEDULED},
    "expire": {S.SCHEDULED: S.EXPIRED, S.SENDING: S.EXPIRED},
    "accept": {S.SENDING: S.SENT, S.UNKNOWN: S.SENT},  # an answer may arrive after all
    "reject": {S.SENDING: S.FAILED, S.UNKNOWN: S.FAILED},
    "suppress": {S.SENDING: S.SUPPRESSED},
    "retry": {S.SENDING: S.SCHEDULED},  # the provider said: not now
    "defer": {S.SENDING: S.SCHEDULED},  # our own decision said: not now
    "hold": {S.SENDING: S.SCHEDULED},  # the brand is held: no call was begun
    "rescue": {S.SENDING: S.SCHEDULED},  # the worker died, and another may call
    "lose": {S.SENDING: S.UNKNOWN},  # the provider was called and its answer was lost
    "settle_sent": {S.UNKNOWN: S.SENT},
    "settle_failed": {S.UNKNOWN: S.FAILED},
    "settle_retry": {S.UNKNOWN: S.SCHEDULED},
}

FINAL = frozenset(S) - {source for moves in TRANSITIONS.values() for source in moves}
"""The statuses without a way out."""


class NotAllowed(Exception):
    """The table has no such move. Nothing was changed."""


def after(event: str, status: Status) -> Status:
    """The status that follows when `event` happens to a message in `status`; raises `NotAllowed`."""
    try:
        return TRANSITIONS[event][status]
    except KeyError:
        raise NotAllowed(f"{event} can't happen to a message that is {status}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", "    [*] --> scheduled: accept the request"]
    for event, moves in TRANSITIONS.items():
        lines += [f"    {source} --> {target}: {event}" for source, target in moves.items()]
    lines += [f"    {status} --> [*]" for status in Status if status in FINAL]
    return "\n".join(lines) + "\n"
