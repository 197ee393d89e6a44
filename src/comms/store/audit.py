"""The ledger as it is closed, read and proved."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.caller import ANY
from comms.domain.chain import Link
from comms.domain.ids import bucket_of
from comms.store.database import Connection, Pool
from comms.store.statements import sql


async def written(pool: Connection | Pool) -> int:
    """The newest entry's number, committed or not."""
    n: int = await pool.fetchval(sql("audit", "written"))
    return n


async def writers(pool: Connection | Pool) -> set[str]:
    """Transactions that may have written entries and have not ended."""
    return set(await pool.fetchval(sql("audit", "writers")) or ())


async def closed(pool: Connection | Pool) -> int:
    """The last entry that is closed."""
    n: int = await pool.fetchval(sql("audit", "closed"))
    return n


async def close(engine: Pool, now: datetime | None, up_to: int, most: int) -> int:
    """Make a link of at most so many entries; how many. Nobody may still write one up to `up_to`."""
    row = await engine.fetchrow(sql("audit", "close"), now, up_to, most)
    return row["entries"] if row else 0


async def closed_before(pool: Connection | Pool, instant: datetime) -> int:
    """What was written at this instant, or later, stands after this entry."""
    n: int = await pool.fetchval(sql("audit", "closed_before"), instant)
    return n


async def links(pool: Connection | Pool, after: int, limit: int) -> list[Link]:
    """The next links, in order."""
    return [Link(*row) for row in await pool.fetch(sql("audit", "links"), after, limit)]


async def lines(pool: Connection | Pool, after: int, up_to: int) -> list[tuple[int, str]]:
    """The entries of a stretch: number, and line as it is hashed."""
    return [(row["n"], row["line"]) for row in await pool.fetch(sql("audit", "lines"), after, up_to)]


async def unchained(pool: Connection | Pool, after: int, limit: int) -> list[tuple[int, str]]:
    """The next entries that no link holds."""
    return [(row["n"], row["line"]) for row in await pool.fetch(sql("audit", "unchained"), after, limit)]


async def count_unchained(pool: Connection | Pool, up_to: int) -> int:
    """How many there are of those, up to a number."""
    count: int = await pool.fetchval(sql("audit", "count_unchained"), up_to)
    return count


async def first_unchained(pool: Connection | Pool) -> datetime | None:
    """When the first of those was written; None where all are closed."""
    at: datetime | None = await pool.fetchval(sql("audit", "first_unchained"))
    return at


class Wanted(NamedTuple):
    """What a list of entries is narrowed to; None: any."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None


async def entries(
    connection: Connection, brand_id: str, stretch: tuple[int, int], wanted: Wanted, limit: int
) -> list[asyncpg.Record]:
    """The newest that fit, between two numbers that don't count; `*`: of any brand."""
    if brand_id == ANY:
        return await connection.fetch(sql("audit", "of_all"), *stretch, *wanted, limit)
    return await connection.fetch(sql("audit", "of_brand"), brand_id, *stretch, *wanted, limit)


async def entries_of_message(
    connection: Connection, brand_id: str, message_id: UUID, before: int, wanted: Wanted, limit: int
) -> list[asyncpg.Record]:
    """The newest of one message."""
    key = (bucket_of(message_id), message_id, before)
    return await connection.fetch(sql("audit", "of_message"), *key, *wanted, brand_id, limit)


class Note(NamedTuple):
    """What somebody does, in the order of the statement's parameters. Details hold ids and codes alone."""

    bucket: int
    message_id: UUID | None
    brand_id: str
    now: datetime
    event: str
    details: dict[str, Any] | None
    actor: str
    request_id: UUID


async def note(connection: Connection, done: Note) -> None:
    """Write it, inside the caller's transaction."""
    await connection.execute(sql("audit", "note"), *done)
