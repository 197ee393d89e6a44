"""The person's inbox, and what the sandbox keeps: written by providers through these functions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of
from comms.domain.schedule import show
from comms.providers.base import Outgoing
from comms.store import items


async def put(house: House, outgoing: Outgoing) -> None:
    """Write the item that a message makes; its key is the message's id."""
    brand = await house.setup.require_brand(outgoing.brand_id)
    content = {
        "title": outgoing.content.subject,
        "body": outgoing.content.body,
        "url": outgoing.content.action_url,
    }
    plain = Plain(msgspec.json.encode({"person_id": outgoing.person_id, **content}))
    await items.put_in_inbox(
        house.database.engine,
        bucket_of(outgoing.message_id),
        outgoing.message_id,
        outgoing.brand_id,
        brand.cipher.digest("person_id", outgoing.person_id),
        outgoing.category,
        brand.cipher.seal(plain, outgoing.message_id, "inbox"),
        house.clock.now(),
    )


async def listed(
    house: House, caller: Caller, brand_id: str, person_id: str, limit: int, before: UUID | None = None
) -> list[dict[str, Any]]:
    """The person's items, newest first."""
    _may_read(caller, brand_id, person_id)
    brand = await house.setup.require_brand(brand_id)
    person_hash = brand.cipher.digest("person_id", person_id)
    async with house.database.brand(brand_id) as connection:
        rows = await items.inbox(connection, brand_id, person_hash, before, limit)
    return [_show_item(brand, row) for row in rows]


async def bulk_read(house: House, caller: Caller, brand_id: str, person_id: str, wanted: list[UUID]) -> int:
    """Mark items as read; how many were not."""
    _may_read(caller, brand_id, person_id)
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    person_hash = brand.cipher.digest("person_id", person_id)
    async with house.database.brand(brand_id) as connection:
        read = await items.bulk_read(connection, brand_id, person_hash, wanted, now)
        for item in read:
            await items.report(connection, bucket_of(item), item, brand_id, now, "read", None)
    return len(read)


async def keep(house: House, outgoing: Outgoing) -> None:
    """Remember what the sandbox was handed."""
    brand = await house.setup.require_brand(outgoing.brand_id)
    content = {
        "recipient": outgoing.recipient,
        "subject": outgoing.content.subject,
        "body": outgoing.content.body,
    }
    sealed = brand.cipher.seal(Plain(msgspec.json.encode(content)), outgoing.message_id, "sandbox")
    bucket, now = bucket_of(outgoing.message_id), house.clock.now()
    values = (outgoing.message_id, outgoing.provider_id, outgoing.channel, sealed, now)
    await items.keep_in_sandbox(house.database.engine, bucket, outgoing.brand_id, *values)


async def outbox(
    house: House, caller: Caller, brand_id: str, limit: int, before: int | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """What the sandbox was handed for this brand, newest first; and where to go on."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        rows = await items.sandbox(connection, brand_id, before, limit)
    return [_show_kept(brand, row) for row in rows], rows[-1]["n"] if len(rows) == limit else None


async def report(house: House, outgoing: Outgoing, event: str) -> None:
    """What a provider says afterwards, on the message's timeline."""
    bucket, now = bucket_of(outgoing.message_id), house.clock.now()
    details = {"provider_id": outgoing.provider_id}
    await items.report(
        house.database.engine, bucket, outgoing.message_id, outgoing.brand_id, now, event, details
    )


def _show_item(brand: Brand, row: asyncpg.Record) -> dict[str, Any]:
    content = msgspec.json.decode(brand.cipher.open(Sealed(row["content"]), row["id"], "inbox"))
    return {
        "id": str(row["id"]),
        "brand_id": row["brand_id"],
        "person_id": content["person_id"],
        "channel": "in_app",
        "category": row["category"],
        "title": content["title"],
        "body": content["body"],
        "action_url": content["url"],
        "read_at": show(row["read_at"]) if row["read_at"] else None,
        "created_at": show(row["created_at"]),
    }


def _show_kept(brand: Brand, row: asyncpg.Record) -> dict[str, Any]:
    content = msgspec.json.decode(brand.cipher.open(Sealed(row["content"]), row["message_id"], "sandbox"))
    return {
        "message_id": str(row["message_id"]),
        "channel": row["channel"],
        "provider_id": row["provider_id"],
        "recipient": content["recipient"],
        "subject": content["subject"],
        "body": content["body"],
        "received_at": show(row["received_at"]),
    }


def _may_read(caller: Caller, brand_id: str, person_id: str) -> None:
    caller.act_for(brand_id)
    if caller.person_id not in (None, person_id):
        raise Refused(403, "forbidden", "The token belongs to another person.")
