"""What providers say of messages after they took them."""

from __future__ import annotations

from uuid import UUID

from comms.actions.house import House
from comms.domain.ids import bucket_of
from comms.providers.events import Event, Happening
from comms.store import items


async def hear(house: House, provider_id: str, happenings: list[Happening]) -> None:
    """Put each event on its message's timeline."""
    for each in happenings:
        if isinstance(each, Event) and each.key:
            message_id = UUID(each.key.rpartition("-")[0])
            details = {"provider_id": provider_id}
            await items.hear(
                house.database.engine, bucket_of(message_id), message_id, each.at, each.event, details
            )
