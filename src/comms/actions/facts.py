"""Facts that callers keep, such as `appointment:123` = `booked`: a message's `send_if` asks for them.

Names and values may be about persons: they are sealed, and found and compared by keyed hashes.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.reading import note_read
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import not_found
from comms.domain.ids import bucket_of_digest
from comms.domain.schedule import show
from comms.privacy.cipher import Cipher
from comms.store import facts as rows


class Place(NamedTuple):
    """Where a fact is, whether it is there or not."""

    bucket: int
    id: UUID


def place(cipher: Cipher, name: str) -> Place:
    """Where the fact of this name is."""
    digest = cipher.digest("fact", name)
    return Place(bucket_of_digest(digest), UUID(bytes=digest, version=5))


def value_hash(cipher: Cipher, name: str, value: str) -> bytes:
    """By which a value is compared with what is wanted; the same value of another name has another."""
    return cipher.digest("fact_value", msgspec.json.encode([name, value]))


async def put(house: House, caller: Caller, brand_id: str, name: str, value: str) -> dict[str, Any]:
    """Say what is so from now on."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    where, now = place(brand.cipher, name), house.clock.now()
    sealed = brand.cipher.seal(Plain(msgspec.json.encode([name, value])), where.id, "fact")
    digest, by = value_hash(brand.cipher, name, value), (caller.actor, caller.request_id)
    async with house.database.brand(brand_id) as connection:
        await rows.put(connection, rows.Fact(*where, brand_id, digest, sealed, now, *by))
    return {"brand_id": brand_id, "name": name, "value": value, "changed_at": show(now)}


async def get(house: House, caller: Caller, brand_id: str, name: str) -> dict[str, Any]:
    """What was said last; 404 where nothing was."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        row = await rows.get(connection, *place(brand.cipher, name))
        if row is not None:
            await note_read(house, connection, caller, brand_id, row["bucket"], "fact", None)
    if row is None:
        raise not_found("fact")
    return {
        "brand_id": brand_id,
        "name": name,
        "value": _value(brand, row),
        "changed_at": show(row["changed_at"]),
    }


async def remove(house: House, caller: Caller, brand_id: str, name: str) -> None:
    """Say nothing of it any more: what asks for it is not sent."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    now, by = house.clock.now(), (caller.actor, caller.request_id)
    async with house.database.brand(brand_id) as connection:
        if not await rows.remove(connection, *place(brand.cipher, name), now, *by):
            raise not_found("fact")


def _value(brand: Brand, row: asyncpg.Record) -> str:
    _, value = msgspec.json.decode(brand.cipher.open(Sealed(row["content"]), row["id"], "fact"))
    return str(value)
