"""Whose content somebody reads is written down: one entry a call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from comms.actions.house import House
from comms.domain.caller import Caller
from comms.store import audit
from comms.store.database import Connection


async def note_read(
    house: House,
    connection: Connection,
    caller: Caller,
    brand_id: str,
    bucket: int,
    of: str,
    read: Iterable[UUID] | None,
) -> None:
    """An entry with the messages that were shown; None: all that there are of a kind."""
    details: dict[str, Any] = {"of": of}
    if read is not None:
        details["message_ids"] = [str(each) for each in dict.fromkeys(read)]
    key = (bucket, None, brand_id, house.clock.now())
    done = audit.Note(*key, "content_read", details, caller.actor, caller.request_id)
    await audit.note(connection, done)
