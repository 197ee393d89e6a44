"""The inbox as apps show it: a person's notifications, of messages and of services that write them directly.

A notification is an inbox item under other names: `kind` is its category, `link` its action_url. So
one that is read in the one place is read in the other.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.inbox import opened_content
from comms.actions.reading import note_read
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused, invalid, not_found
from comms.domain.ids import bucket_of, bucket_of_digest, message_id
from comms.domain.schedule import show
from comms.privacy.cipher import PersonCipher
from comms.render.versions import is_script
from comms.store import audit, items


class New(NamedTuple):
    """What a service writes to a person."""

    kind: str
    title: str
    body: str | None
    link: str | None
    metadata: dict[str, Any]


def person_of(caller: Caller, named: str | None) -> str:
    """Whose notifications are meant: the token's own person, else the one that is named; 403 for neither."""
    if caller.person_id is None and named is None:
        raise Refused(403, "forbidden", "Use the person's own token, or name the person in person_id.")
    return caller.person_id if named is None else named  # type: ignore[return-value]


async def create(house: House, caller: Caller, brand_id: str, person_id: str, new: New) -> dict[str, Any]:
    """Write one. The same again is another: whoever writes directly sees to it."""
    caller.act_for(brand_id)
    if new.link and is_script(new.link):
        raise invalid("link must be an address, not a script.")
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    digest = brand.person_hash(person_id)
    new_id = message_id(now, digest, os.urandom(8))
    content = {
        "person_id": person_id,
        "title": new.title,
        "body": new.body,
        "url": new.link,
        "metadata": new.metadata,
    }
    async with house.database.brand(brand_id) as connection:
        person = await house.keys.hold(connection, brand, digest)
        sealed = person.seal(Plain(msgspec.json.encode(content)), new_id, "inbox")
        item = items.InboxItem(bucket_of_digest(digest), new_id, brand_id, digest, new.kind, sealed)
        await items.put_in_inbox(connection, [item], now)
        row = await items.item(connection, new_id)
    assert row is not None  # noqa: S101 - it was written this moment
    return {**_show(person, row), "brand_id": brand_id, "patient_id": person_id}


async def listed(
    house: House, caller: Caller, brand_id: str, person_id: str, limit: int, before: UUID | None
) -> list[dict[str, Any]]:
    """The person's, newest first."""
    caller.act_for_person(brand_id, person_id)
    brand = await house.setup.require_brand(brand_id)
    digest = brand.person_hash(person_id)
    async with house.database.brand(brand_id) as connection:
        found = await items.inbox(connection, brand_id, digest, before, limit)
        if found:
            key, shown = (brand_id, bucket_of_digest(digest)), [row["id"] for row in found]
            await note_read(house, connection, caller, *key, "inbox", shown)
    person = await house.keys.one(brand, digest)
    return [_show(person, row) for row in found]


async def unread_count(house: House, caller: Caller, brand_id: str, person_id: str) -> int:
    """How many the person has not read."""
    caller.act_for_person(brand_id, person_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        count, _ = await items.unread(connection, brand_id, brand.person_hash(person_id))
    return count


async def read(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:
    """Mark one as read. Twice is once."""
    now = house.clock.now()
    async with house.database.brand(caller.brand_id) as connection:
        row = await items.item(connection, wanted)
        if row is None:
            raise not_found("notification")
        brand = await house.setup.require_brand(row["brand_id"])
        digest = row["person_hash"]
        if caller.person_id is not None and brand.person_hash(caller.person_id) != digest:
            raise not_found("notification")
        if await items.bulk_read(connection, brand.brand_id, digest, [wanted], now):
            key = (bucket_of(wanted), wanted, brand.brand_id, now)
            await audit.note(connection, audit.Note(*key, "read", None, caller.actor, caller.request_id))
            await items.ring(connection, digest)
        await note_read(
            house, connection, caller, brand.brand_id, bucket_of_digest(digest), "inbox", [wanted]
        )
        row = await items.item(connection, wanted) or row
    return _show(await house.keys.one(brand, digest), row)


def _show(person: PersonCipher, row: asyncpg.Record) -> dict[str, Any]:
    names = ("title", "body", "url")
    content = opened_content(person, Sealed(row["content"]), row["id"], "inbox", *names)
    return {
        "id": str(row["id"]),
        "kind": row["category"],
        "title": content["title"],
        "body": content["body"],
        "link": content["url"],
        "read_at": show(row["read_at"]) if row["read_at"] else None,
        "created_at": show(row["created_at"]),
        "metadata": content.get("metadata", {}),
    }
