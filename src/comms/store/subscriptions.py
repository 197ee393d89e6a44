"""Subscriptions to events, and how far each has heard, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.domain.webhooks import Entry
from comms.store.database import Connection, Pool
from comms.store.statements import sql

MOST_WAITING = 100
"""Events that a feed keeps to be tried again; one that has more to keep takes no new ones."""


class NewSubscription(NamedTuple):
    """One row, in the order of the statement's parameters; `most` a brand may have."""

    subscription_id: UUID
    brand_id: str
    url: str
    events: list[str]
    secrets: Sealed
    now: datetime
    most: int


async def add(connection: Connection, new: NewSubscription) -> asyncpg.Record | None:
    """Write it, with a feed from here on; None where the brand has as many as it may."""
    return await connection.fetchrow(sql("subscriptions", "add"), *new)


async def get(connection: Connection, subscription_id: UUID, *, lock: bool = False) -> asyncpg.Record | None:
    """One, perhaps held until the transaction ends."""
    return await connection.fetchrow(sql("subscriptions", "lock" if lock else "get"), subscription_id)


async def listed(
    connection: Connection, brand_id: str, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """The brand's, newest first."""
    return await connection.fetch(sql("subscriptions", "listed"), brand_id, before, limit)


async def put(
    connection: Connection,
    subscription_id: UUID,
    url: str,
    events: list[str],
    now: datetime,
    *,
    enabled: bool,
) -> asyncpg.Record:
    """Change it; the caller holds the row."""
    row = await connection.fetchrow(sql("subscriptions", "put"), subscription_id, url, events, enabled, now)
    assert row is not None  # noqa: S101 - it is locked
    return row


async def begin_anew(connection: Connection, subscription_id: UUID) -> None:
    """Hear of what happens from now on."""
    await connection.execute(sql("subscriptions", "begin_anew"), subscription_id)


async def try_now(connection: Connection, subscription_id: UUID, now: datetime) -> None:
    """What waits is due now."""
    await connection.execute(sql("subscriptions", "try_now"), subscription_id, now)


async def keep_secrets(connection: Connection, subscription_id: UUID, secrets: Sealed, now: datetime) -> None:
    """What is signed with from now on."""
    await connection.execute(sql("subscriptions", "keep_secrets"), subscription_id, secrets, now)


async def remove(connection: Connection, subscription_id: UUID) -> str | None:
    """Forget it and its feeds; whose it was."""
    brand_id: str | None = await connection.fetchval(sql("subscriptions", "remove"), subscription_id)
    return brand_id


async def replays(connection: Connection, subscription_id: UUID) -> int:
    """How many are under way."""
    count: int = await connection.fetchval(sql("subscriptions", "replays"), subscription_id)
    return count


async def replay(
    connection: Connection,
    feed_id: UUID,
    subscription_id: UUID,
    brand_id: str,
    span: tuple[datetime, datetime],
    after: int,
) -> None:
    """Tell again what happened in `span`; nothing of it stands at `after` or before."""
    await connection.execute(sql("subscriptions", "replay"), feed_id, subscription_id, brand_id, *span, after)


async def lease(
    engine: Pool, now: datetime | None, owner: UUID, span: timedelta, most: int
) -> list[asyncpg.Record]:
    """Take feeds that have something to do."""
    values = (now, owner, span, most, MOST_WAITING)
    return await engine.fetch(sql("subscriptions", "lease"), *values)


async def news(
    engine: Pool,
    brand_id: str,
    stretch: tuple[int, int],
    words: list[str],
    span: tuple[datetime | None, datetime | None],
    limit: int,
) -> list[Entry]:
    """The next entries after the first number and up to the second."""
    found = await engine.fetch(sql("subscriptions", "news"), brand_id, *stretch, words, *span, limit)
    return [Entry(*row) for row in found]


async def again(engine: Pool, brand_id: str, wanted: Sequence[int]) -> list[Entry]:
    """Entries by their numbers."""
    return [Entry(*row) for row in await engine.fetch(sql("subscriptions", "again"), brand_id, wanted)]


class Come(NamedTuple):
    """How far a feed has come, in the order of the statement's parameters."""

    feed_id: UUID
    owner: UUID
    position: int
    waiting: list[Any]
    retry_at: datetime | None
    failures: int
    rest_until: datetime | None
    goes_on: bool
    lease: timedelta
    is_taken: bool
    problem: str | None
    missed: int


async def record(engine: Pool, now: datetime | None, come: Come) -> bool:
    """Write it; False where the feed is another's by now."""
    return bool(await engine.fetchval(sql("subscriptions", "record"), now, *come))


async def disable(engine: Pool, now: datetime | None, subscription_id: UUID) -> None:
    """The receiver is gone for good."""
    await engine.execute(sql("subscriptions", "disable"), now, subscription_id)


async def states(pool: Pool) -> asyncpg.Record:
    """How many are healthy, failing and disabled."""
    row = await pool.fetchrow(sql("subscriptions", "states"))
    assert row is not None  # noqa: S101 - an aggregate answers one row
    return row


async def ill(pool: Pool, now: datetime | None) -> list[asyncpg.Record]:
    """Those that somebody should look after."""
    return await pool.fetch(sql("subscriptions", "ill"), now)
