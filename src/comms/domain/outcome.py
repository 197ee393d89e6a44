"""What providers' answers make of a delivery, and deliveries of a message.

A message has deliveries: one, or for a push to a person one a device. Two facts say where a
delivery stands: the last answer to it, and its doubts: how many calls were made whose answer
never came. A doubt stays until a later call to the same delivery is taken or refused for good,
or until a person settles it: that the provider is busy *now* says nothing of the call before.

    standing   the last answer            doubts   what may follow
    taken      accepted                   any      nothing
    refused    rejected                   any      nothing
    open       none, try_later or         0        any provider of the route
               misconfigured
    ask        anything else              1 up     the same provider: its key makes a second call safe
    repeat     anything else              1        any provider: the template prefers a duplicate, once
    doubt      anything else              1 up     nothing, until somebody knows

What a provider says afterwards, in an event, counts as the answer that was lost (`told`).
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Standing(StrEnum):
    """Where one delivery stands."""

    TAKEN = "taken"
    REFUSED = "refused"
    OPEN = "open"
    ASK = "ask"
    REPEAT = "repeat"
    DOUBT = "doubt"


_GOES_ON = {Standing.OPEN, Standing.ASK, Standing.REPEAT}
_DOUBTFUL = {Standing.ASK, Standing.REPEAT, Standing.DOUBT}


def standing(answer: str | None, doubts: int, *, idempotent: bool, prefers_duplicate: bool) -> Standing:
    """`idempotent`: may the provider that was called be asked again with the same key?"""
    if answer == "accepted":
        return Standing.TAKEN
    if answer == "rejected":
        return Standing.REFUSED
    if doubts == 0:
        return Standing.OPEN
    if idempotent:
        return Standing.ASK
    return Standing.REPEAT if prefers_duplicate and doubts == 1 else Standing.DOUBT


PROVES = {
    "accepted": "taken",
    "delivered": "taken",
    "deferred": "taken",
    "complained": "taken",
    "opened": "taken",
    "clicked": "taken",
    "read": "taken",
    "bounced": "refused",
    "failed": "refused",
}
"""What a provider's event says of a call whose answer was lost."""


def told(answer: str | None, doubts: int, heard: str | None) -> str | None:
    """The last answer, or what was heard of the call instead.

    Whoever has it, has it. That it came to nothing is said of one call: where two were made whose answers
    never came, the other may still arrive.
    """
    if answer in {"accepted", "rejected"}:
        return answer
    if heard == "taken":
        return "accepted"
    return "rejected" if heard == "refused" and doubts == 1 else answer


def goes_on(each: Standing) -> bool:
    """May this delivery be handed over (again)?"""
    return each in _GOES_ON


def event(deliveries: Collection[Standing], *, stopped: str | None) -> str:
    """The life cycle's event that follows once an attempt is over.

    What may still go decides first, then what nobody knows, then what was taken. `stopped`: nothing
    may go any more, and what never went ends by that event: expire or suppress. Without any delivery,
    as for a person without a device, there is nobody to refuse.
    """
    if not stopped and any(map(goes_on, deliveries)):
        return "retry"
    if any(each in _DOUBTFUL for each in deliveries):
        return "lose"
    if Standing.TAKEN in deliveries:
        return "accept"
    never_went = not deliveries or Standing.OPEN in deliveries
    return stopped if stopped and never_went else "reject"
