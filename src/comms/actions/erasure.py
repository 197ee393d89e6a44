"""A person is erased: nothing more goes to them, and nobody can read what was kept of them.

The order is what makes it safe. First the key, and with it every way to read; what waits is cancelled
then, in bites, and a worker that meets it before finds it unreadable and ends it as suppressed. What a
worker holds at that moment it may still hand over: the answer waits until it has ended. What is written
meanwhile is sealed under the destroyed key. Erasing again goes on where an erasure broke off.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from comms.actions.house import House
from comms.actions.permission import address_hash
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import Sealed
from comms.domain.ids import bucket_of_digest
from comms.domain.schedule import show
from comms.store import devices, keys
from comms.store import erasure as rows
from comms.store import setup as setup_rows
from comms.store.database import Connection
from comms.store.erasure import Address
from comms.store.keys import PersonKey

_BITE = 500
_LOOK_SECONDS = 0.01


async def erase(house: House, caller: Caller, brand_id: str, person_id: str) -> dict[str, Any]:
    """Erase a person, known or not. Twice is once."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    person = brand.person(person_id)
    await _revoke_tokens(house, person)
    async with house.database.brand(brand_id) as connection:
        addresses = await _addresses(house, connection, brand, person)
        now = house.clock.now()
        erased_at, generation = await keys.destroy(connection, person, now)
        await rows.forget(connection, person)
        await rows.empty(connection, person)
        await rows.empty_suppressions(connection, brand_id, addresses)
        await rows.note(connection, person, now, caller.actor, caller.request_id)
    cancelled = await _cancel(house, caller, person, generation)
    await _await_what_is_in_flight(house, person, generation)
    async with house.database.brand(brand_id) as connection:  # what its end wrote
        await rows.empty(connection, person)
        await rows.empty_suppressions(connection, brand_id, addresses)
    return {
        "brand_id": brand_id,
        "person_id": person_id,
        "erased_at": show(erased_at),
        "cancelled": cancelled,
    }


async def _addresses(house: House, connection: Connection, brand: Brand, person: PersonKey) -> list[Address]:
    """Where suppressions name the person's addresses: these can be read only as long as the key is there."""
    found, written = [], await rows.recipients(connection, person)
    cipher = await house.keys.one(brand, person.person_hash)  # after them: no row is newer than its key
    for row in written:
        sealed = Sealed(row["address"])
        if not cipher.is_erased(sealed):
            found.append(_address(brand, row["channel"], cipher.open(sealed, row["id"], "address")))
    theirs = await devices.of_person(connection, brand.brand_id, person.person_hash, None)
    return found + [_suppressible(brand, "push", str(row["device_id"])) for row in theirs]


def _address(brand: Brand, channel: str, address: bytes) -> Address:
    _, recipient, _ = msgspec.json.decode(address)
    return _suppressible(brand, channel, recipient)


def _suppressible(brand: Brand, channel: str, recipient: str) -> Address:
    digest = address_hash(brand, channel, recipient)
    return Address(bucket_of_digest(digest), channel, digest)


async def _revoke_tokens(house: House, person: PersonKey) -> None:
    """The person's own tokens; set-up moves with them, so that every process refuses them."""
    values = (person.brand_id, person.person_hash, house.clock.now())
    async with house.database.owner.acquire() as connection, connection.transaction():
        if await setup_rows.many(connection, "tokens_of_person", *values[:2]):
            await setup_rows.write(connection, "revoke_persons_tokens", *values)
    house.setup.doubt()


async def _cancel(house: House, caller: Caller, person: PersonKey, generation: int) -> int:
    """What waits, a transaction a bite; how many."""
    cancelled, bite = 0, _BITE
    while bite == _BITE:
        async with house.database.brand(person.brand_id) as connection:
            by = (caller.actor, caller.request_id)
            bite = await rows.cancel(connection, person, house.clock.sql_now(), *by, _BITE, generation)
        cancelled += bite
    house.metrics.ended.add("cancelled", by=cancelled)
    return cancelled


async def _await_what_is_in_flight(house: House, person: PersonKey, generation: int) -> None:
    """Until each call that may have begun has ended, or its lease has."""
    engine = house.database.engine
    while await rows.in_flight(engine, person, house.clock.sql_now(), generation):  # noqa: ASYNC110 - workers end it
        await asyncio.sleep(_LOOK_SECONDS)
