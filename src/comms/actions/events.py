"""What providers say of messages after they took them."""

from __future__ import annotations

from uuid import UUID

from comms.actions.devices import identify
from comms.actions.house import House
from comms.domain.ids import bucket_of
from comms.providers.events import Event, Happening
from comms.store import devices, items, messages


async def hear(house: House, provider_id: str, happenings: list[Happening]) -> None:
    """Put each event on its message's timeline; a device that has gone is forgotten with it."""
    for each in happenings:
        if isinstance(each, Event) and each.key:
            message_id = UUID(each.key.rpartition("-")[0])
            details = {"provider_id": provider_id, **({"reason": each.reason} if each.reason else {})}
            if not await _is_forgotten(house, each, message_id, details):
                await items.hear(
                    house.database.engine, bucket_of(message_id), message_id, each.at, each.event, details
                )


async def _is_forgotten(house: House, event: Event, message_id: UUID, details: dict[str, str]) -> bool:
    """Is it a bounce for good of a device that is there, and was not registered again since?"""
    if not (event.for_good and event.recipient):
        return False
    engine = house.database.engine
    row = await messages.get(engine, bucket_of(message_id), message_id)
    brand = await house.setup.brand(row["brand_id"]) if row and row["channel"] == "push" else None
    if row is None or brand is None:
        return False
    device_id = identify(brand, event.recipient)
    since = row["sent_at"] or row["created_at"]
    dead = devices.Dead(device_id, brand.brand_id, since, row["bucket"], message_id, dict(details))
    return bool(await devices.forget(engine, [dead], event.at))
