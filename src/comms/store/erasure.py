"""What ends with a person, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection, Pool
from comms.store.keys import PersonKey
from comms.store.statements import columns, sql


class Address(NamedTuple):
    """By which the suppressions of an address are found."""

    bucket: int
    channel: str
    address_hash: bytes


async def recipients(connection: Connection, person: PersonKey) -> list[asyncpg.Record]:
    """id, channel and sealed address of one message to each recipient that the person had."""
    key = (person.brand_id, person.person_hash)
    return await connection.fetch(sql("erasure", "recipients"), *key)


async def forget(connection: Connection, person: PersonKey) -> None:
    """Remove devices, consents that were given and preferences that are on."""
    await connection.execute(sql("erasure", "forget"), *person)


async def empty(connection: Connection, person: PersonKey) -> None:
    """Empty what was sealed before persons had keys."""
    await connection.execute(sql("erasure", "empty"), *person)


async def empty_suppressions(connection: Connection, brand_id: str, addresses: list[Address]) -> None:
    """Of the suppressions of these addresses the hash alone stays."""
    if addresses:
        await connection.execute(sql("erasure", "empty_suppressions"), brand_id, *columns(addresses))


async def note(
    connection: Connection, person: PersonKey, now: datetime, actor: str, request_id: UUID
) -> None:
    """A line in the ledger."""
    await connection.execute(sql("erasure", "note"), person.bucket, person.brand_id, now, actor, request_id)


async def cancel(
    connection: Connection,
    person: PersonKey,
    now: datetime | None,
    actor: str,
    request_id: UUID,
    limit: int,
    generation: int,
) -> int:
    """Cancel a bite of what waits for the person as they were up to this generation; how many."""
    key = (person.brand_id, person.person_hash, now, actor, request_id, limit, generation)
    return len(await connection.fetch(sql("erasure", "cancel"), *key))


async def in_flight(engine: Pool, person: PersonKey, now: datetime | None, generation: int) -> int:
    """Messages of the person as they were up to this generation that a worker still holds."""
    key = (person.brand_id, person.person_hash, now, generation)
    found: int = await engine.fetchval(sql("erasure", "in_flight"), *key)
    return found
