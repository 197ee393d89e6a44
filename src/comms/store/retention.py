"""What is kept no longer, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection, Pool
from comms.store.events import Reference
from comms.store.statements import columns, sql

BEGINNING = UUID(int=0)

Key = tuple[int, UUID]
"""Bucket and id of a message."""


class Turn(NamedTuple):
    """Leave to erase a bite: the database's time, and when tables were last gone through page by page."""

    now: datetime
    paged_at: datetime


class Seen(NamedTuple):
    """A message that was looked at; `ended_at` None: it has not."""

    bucket: int
    id: UUID
    hipaa: bool
    ended_at: datetime | None


class Weight(NamedTuple):
    """A window of messages: its last id, how many there are, how many have content that is over, by class."""

    last: UUID | None
    seen: int
    plain: int
    hipaa: int


async def take_turn(connection: Connection, owner: UUID, now: datetime | None) -> Turn | None:
    """None where it is another worker's; else held as long as the transaction."""
    row = await connection.fetchrow(sql("retention", "take_turn"), now, owner)
    return Turn(*row) if row else None


async def up_to(connection: Connection, brand_id: str, *, hipaa: bool) -> UUID:
    """The last message of the class that was looked at."""
    found: UUID | None = await connection.fetchval(sql("retention", "up_to"), brand_id, hipaa)
    return found or BEGINNING


async def reach(connection: Connection, brand_id: str, last: UUID, *, hipaa: bool) -> None:
    """Messages up to this one were looked at."""
    await connection.execute(sql("retention", "reach"), brand_id, hipaa, last)


async def passed(connection: Connection, brand_id: str, after: UUID, before: UUID, limit: int) -> list[Seen]:
    """The brand's next messages, of whatever class."""
    return _seen(await connection.fetch(sql("retention", "passed"), brand_id, after, before, limit))


async def waited(
    connection: Connection, brand_id: str, since: datetime, limit: int, *, hipaa: bool
) -> list[Seen]:
    """Messages that were too young, and had ended, or not yet, by `since`."""
    return _seen(await connection.fetch(sql("retention", "waited"), brand_id, hipaa, since, limit))


async def keep_in_mind(
    connection: Connection, brand_id: str, young: list[tuple[int, UUID, datetime]], *, hipaa: bool
) -> None:
    """Look at these again when enough time has passed since then."""
    if young:
        await connection.execute(sql("retention", "keep_in_mind"), brand_id, hipaa, *columns(young))


async def erase(connection: Connection, keys: list[Key]) -> list[Key]:
    """Empty messages that have ended, as far as nobody holds them; which."""
    rows = await connection.fetch(sql("retention", "erase"), *columns(keys))
    return [(row["bucket"], row["id"]) for row in rows]


async def erase_deliveries(connection: Connection, keys: list[Key]) -> list[asyncpg.Record]:
    """Remove the messages' deliveries: message_id, n, provider_id, reference."""
    return await connection.fetch(sql("retention", "erase_deliveries"), *columns(keys))


async def forget_references(connection: Connection, references: list[Reference]) -> None:
    """Remove what providers called deliveries."""
    if references:
        named = columns([(each.bucket, each.provider_id, each.reference) for each in references])
        await connection.execute(sql("retention", "forget_references"), *named)


async def erase_items(connection: Connection, keys: list[Key]) -> int:
    """Remove what the messages put into inboxes; how many."""
    return len(await connection.fetch(sql("retention", "erase_items"), *columns(keys)))


async def forget(connection: Connection, keys: list[Key]) -> None:
    """They need no second look."""
    await connection.execute(sql("retention", "forget"), *columns(keys))


async def note(connection: Connection, brand_id: str, now: datetime, details: dict[str, int | bool]) -> None:
    """A line in the ledger."""
    await connection.execute(sql("retention", "note"), brand_id, now, details)


async def pages(connection: Connection | Pool, table: str) -> int:
    """How many pages a table has."""
    found: int = await connection.fetchval(sql("retention", "pages"), table)
    return found


async def prune(connection: Connection, table: str, first: int, last: int, *given: object) -> int:
    """Remove what is over from the pages `first` until before `last` of a table; how many rows."""
    span = (first, 0), (last, 0)
    return len(await connection.fetch(sql("retention", f"prune_{table}"), *span, *given))


async def paged(connection: Connection | Pool, now: datetime) -> None:
    """All pages were gone through."""
    await connection.execute(sql("retention", "paged"), now)


async def waiting(pool: Pool, brand_id: str, before: UUID, *, hipaa: bool) -> int:
    """How many old enough messages were not looked at yet, 10,000 at most."""
    found: int = await pool.fetchval(sql("retention", "waiting"), brand_id, hipaa, before)
    return found


async def weigh(
    pool: Pool,
    brand_id: str,
    after: UUID,
    before: UUID,
    plain: datetime | None,
    hipaa: datetime | None,
    limit: int,
) -> Weight:
    """A window of a brand's messages; what ended until `plain` is over, of health data until `hipaa`."""
    row = await pool.fetchrow(sql("retention", "weigh"), brand_id, after, before, plain, hipaa, limit)
    assert row is not None  # noqa: S101 - an aggregate answers one row
    return Weight(*row)


def _seen(rows: list[asyncpg.Record]) -> list[Seen]:
    return [Seen(*row) for row in rows]
