"""Messages found by what is kept sealed of them as well as by what is not."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from comms.actions import messages
from comms.actions.house import House
from comms.domain.caller import Caller
from comms.domain.recipient import normalise
from comms.store.messages import Filter


class Wanted(NamedTuple):
    """What a search is narrowed to; None: to nothing. `before` is a cursor."""

    brand_id: str
    status: str | None = None
    channel: str | None = None
    template_key: str | None = None
    person_id: str | None = None
    recipient: str | None = None
    subject: str | None = None
    dedup_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None


async def search(house: House, caller: Caller, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """The brand's newest messages that fit; 422 `invalid_recipient` for what no channel could have as one."""
    caller.act_for(wanted.brand_id)
    holder = None
    if wanted.dedup_key is not None:
        holder = await messages.find_by_key(house, caller, wanted.brand_id, wanted.dedup_key)
        if holder is None:
            return []
    recipient = wanted.recipient
    if recipient is not None:
        recipient = normalise(wanted.channel or _likely_channel(recipient), recipient)
    sealed = {"person_id": wanted.person_id, "recipient": recipient, "subject": wanted.subject}
    hashes = await messages.digests(house, wanted.brand_id, **sealed)
    narrowed = Filter(
        brand_id=wanted.brand_id,
        status=wanted.status,
        person_hash=hashes["person_id"],
        recipient_hash=hashes["recipient"],
        channel=wanted.channel,
        template_key=wanted.template_key,
        since=wanted.since,
        until=wanted.until,
        before=wanted.before,
        id=holder,
        subject_hash=hashes["subject"],
    )
    return await messages.find(house, caller, narrowed, limit)


def _likely_channel(recipient: str) -> str:
    """For its spelling alone: an address is one with an @, all else is kept as it is."""
    return "email" if "@" in recipient else "in_app"
