"""The person's inbox, and what the sandbox keeps: written by providers through these functions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.reading import note_read
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import ERASED, Plain, Sealed
from comms.domain.ids import bucket_of, bucket_of_digest
from comms.domain.schedule import show
from comms.privacy.cipher import PersonCipher
from comms.providers.base import Outgoing
from comms.store import audit, items


async def put(house: House, group: list[Outgoing]) -> list[Exception | None]:
    """Write the items that messages make; an item's key is its message's id."""
    made = [await _inbox_item(house, outgoing) for outgoing in group]
    await items.put_in_inbox(house.database.engine, made, house.clock.now())
    return [None] * len(group)


async def _inbox_item(house: House, outgoing: Outgoing) -> items.InboxItem:
    brand = await house.setup.require_brand(outgoing.brand_id)
    content = {
        "person_id": outgoing.person_id,
        "title": outgoing.content.subject,
        "body": outgoing.content.body,
        "url": outgoing.content.action_url,
    }
    return items.InboxItem(
        bucket=bucket_of(outgoing.message_id),
        id=outgoing.message_id,
        brand_id=outgoing.brand_id,
        person_hash=brand.person_hash(outgoing.person_id),
        category=outgoing.category,
        content=_seal(outgoing, content, "inbox"),
    )


async def listed(
    house: House, caller: Caller, brand_id: str, person_id: str, limit: int, before: UUID | None = None
) -> list[dict[str, Any]]:
    """The person's items, newest first."""
    caller.act_for_person(brand_id, person_id)
    brand = await house.setup.require_brand(brand_id)
    person_hash = brand.person_hash(person_id)
    async with house.database.brand(brand_id) as connection:
        rows = await items.inbox(connection, brand_id, person_hash, before, limit)
        if rows:
            read = [row["id"] for row in rows]
            await note_read(house, connection, caller, brand_id, bucket_of_digest(person_hash), "inbox", read)
    person = await house.keys.one(brand, person_hash)
    return [_show_item(person, row) for row in rows]


async def opened(house: House, caller: Caller, brand: Brand, person_hash: bytes) -> int:
    """Somebody begins to listen; the `n` of the person's newest item, 0 where there is none."""
    async with house.database.brand(brand.brand_id) as connection:
        _, newest = await items.unread(connection, brand.brand_id, person_hash)
        key = (brand.brand_id, bucket_of_digest(person_hash))
        await note_read(house, connection, caller, *key, "inbox", [])
    return newest


async def arrived(
    house: House, caller: Caller, brand: Brand, person_hash: bytes, after: int, limit: int
) -> tuple[list[tuple[int, dict[str, Any]]], int]:
    """The person's items after the `n`th, each with its own, oldest first; and how many are not read."""
    async with house.database.brand(brand.brand_id) as connection:
        rows = await items.arrived(connection, brand.brand_id, person_hash, after, limit)
        count, _ = await items.unread(connection, brand.brand_id, person_hash)
        if rows:
            key, read = (brand.brand_id, bucket_of_digest(person_hash)), [row["id"] for row in rows]
            await note_read(house, connection, caller, *key, "inbox", read)
    person = await house.keys.one(brand, person_hash) if rows else None
    return [(row["n"], _show_item(person, row)) for row in rows if person], count


async def bulk_read(house: House, caller: Caller, brand_id: str, person_id: str, wanted: list[UUID]) -> int:
    """Mark items as read; how many were not."""
    caller.act_for_person(brand_id, person_id)
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    person_hash = brand.person_hash(person_id)
    async with house.database.brand(brand_id) as connection:
        read = await items.bulk_read(connection, brand_id, person_hash, wanted, now)
        for item in read:
            key = (bucket_of(item), item, brand_id, now)
            await audit.note(connection, audit.Note(*key, "read", None, caller.actor, caller.request_id))
        if read:
            await items.ring(connection, person_hash)
    return len(read)


async def keep(house: House, group: list[Outgoing]) -> list[Exception | None]:
    """Remember what the sandbox was handed."""
    kept = [_kept_item(outgoing) for outgoing in group]
    await items.keep_in_sandbox(house.database.engine, kept, house.clock.now())
    return [None] * len(group)


def _kept_item(outgoing: Outgoing) -> items.KeptItem:
    said = outgoing.content
    content = {"recipient": outgoing.recipient, "subject": said.subject, "body": said.body}
    return items.KeptItem(
        bucket=bucket_of(outgoing.message_id),
        message_id=outgoing.message_id,
        brand_id=outgoing.brand_id,
        provider_id=outgoing.provider_id,
        channel=outgoing.channel,
        content=_seal(outgoing, content, "sandbox"),
    )


async def outbox(
    house: House, caller: Caller, brand_id: str, limit: int, before: int | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """What the sandbox was handed for this brand, newest first; and where to go on."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        rows = await items.sandbox(connection, brand_id, before, limit)
        read = [row["message_id"] for row in rows]
        if read:
            await note_read(house, connection, caller, brand_id, 0, "sandbox", read)
    persons = await house.keys.many(brand, [row["person_hash"] for row in rows])
    shown = [_show_kept(persons[row["person_hash"]], row) for row in rows]
    return shown, rows[-1]["n"] if len(rows) == limit else None


def _seal(outgoing: Outgoing, content: dict[str, Any], field: str) -> Sealed:
    assert outgoing.seal is not None  # noqa: S101 - what comes from a worker brings the person's key
    return outgoing.seal(Plain(msgspec.json.encode(content)), field)


def opened_content(
    person: PersonCipher, sealed: Sealed, row: UUID, field: str, *names: str
) -> dict[str, Any]:
    """The content; of a person who was erased, that they were."""
    if person.is_erased(sealed):
        return dict.fromkeys(names, ERASED)
    content: dict[str, Any] = msgspec.json.decode(person.open(sealed, row, field))
    return content


def _show_item(person: PersonCipher, row: asyncpg.Record) -> dict[str, Any]:
    names = ("person_id", "title", "body", "url")
    content = opened_content(person, Sealed(row["content"]), row["id"], "inbox", *names)
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


def _show_kept(person: PersonCipher, row: asyncpg.Record) -> dict[str, Any]:
    names = ("recipient", "subject", "body")
    content = opened_content(person, Sealed(row["content"]), row["message_id"], "sandbox", *names)
    return {
        "message_id": str(row["message_id"]),
        "channel": row["channel"],
        "provider_id": row["provider_id"],
        "recipient": content["recipient"],
        "subject": content["subject"],
        "body": content["body"],
        "received_at": show(row["received_at"]),
    }
