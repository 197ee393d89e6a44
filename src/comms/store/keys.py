"""Persons' wrapped secrets and the epochs that wrap them, as rows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class PersonKey(NamedTuple):
    """Where one person's rows are, and the secret that they are sealed under: in the person's bucket."""

    bucket: int
    brand_id: str
    person_hash: bytes


class Rewrapped(NamedTuple):
    """A secret that is wrapped anew, where it still stands as it was."""

    bucket: int
    brand_id: str
    person_hash: bytes
    was: Sealed
    wrapped: Sealed


async def persons(pool: Connection | Pool, wanted: Collection[PersonKey]) -> list[asyncpg.Record]:
    """generation, epoch and wrapped (None: destroyed) of those that have a secret, each with its key."""
    return await pool.fetch(sql("keys", "persons"), *columns(wanted))


async def hold(connection: Connection, wanted: PersonKey) -> asyncpg.Record | None:
    """The same of one, which nobody erases until the transaction ends."""
    return await connection.fetchrow(sql("keys", "hold"), *wanted)


async def hold_all(connection: Connection, wanted: Collection[PersonKey]) -> list[asyncpg.Record]:
    """The same of many, of those that have one that is not destroyed; taken in the order given."""
    return await connection.fetch(sql("keys", "hold_all"), *columns(wanted))


async def put(
    connection: Connection, wanted: PersonKey, generation: int, epoch: int, wrapped: Sealed, now: datetime
) -> None:
    """A person's secret of this generation, unless somebody was first."""
    await connection.execute(sql("keys", "put"), *wanted, generation, epoch, wrapped, now)


async def destroy(connection: Connection, wanted: PersonKey, now: datetime) -> tuple[datetime, int]:
    """Destroy a person's secret. When that was done, where it was done before; its generation."""
    row = await connection.fetchrow(sql("keys", "destroy"), *wanted, now)
    assert row is not None  # noqa: S101 - an upsert answers its row
    return row["destroyed_at"], row["generation"]


async def live(pool: Pool, epoch: int, limit: int) -> list[asyncpg.Record]:
    """Some that are not destroyed and wrapped with an older epoch's key."""
    return await pool.fetch(sql("keys", "live"), epoch, limit)


async def rewrap(pool: Pool, rows: list[Rewrapped], epoch: int) -> int:
    """Write secrets that were wrapped with this epoch's key; how many still stood as they were read."""
    if not rows:
        return 0
    return len(await pool.fetch(sql("keys", "rewrap"), *columns(rows), epoch))


async def epochs(pool: Pool) -> list[asyncpg.Record]:
    """All of them, oldest first, with how many live secrets each wraps (`persons`)."""
    return await pool.fetch(sql("keys", "epochs"))


async def newest(pool: Connection | Pool) -> asyncpg.Record | None:
    """epoch, proof and made_at of the one in force; None: the master key wraps."""
    return await pool.fetchrow(sql("keys", "newest"))


async def ask(pool: Connection | Pool, name: str, *key: Any) -> bool:
    """Yes or no: erased_since, wraps_none."""
    return bool(await pool.fetchval(sql("keys", name), *key))


async def add_epoch(connection: Connection, epoch: int, proof: Sealed, now: datetime) -> None:
    """The one in force from now on; a second time changes nothing."""
    await connection.execute(sql("keys", "add_epoch"), epoch, proof, now)


async def outlived(pool: Pool, before: datetime) -> list[int]:
    """Epochs that were replaced before then and whose keys are still there."""
    return [row["epoch"] for row in await pool.fetch(sql("keys", "outlived"), before)]


async def end_epoch(pool: Pool, epoch: int, now: datetime) -> None:
    """Its key is destroyed."""
    await pool.execute(sql("keys", "end_epoch"), epoch, now)
