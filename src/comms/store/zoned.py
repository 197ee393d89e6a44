"""Messages that were promised for a time on the wall, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Pool
from comms.store.statements import columns, sql

BEGINNING = (-1, UUID(int=0))
"""Before the first (bucket, id)."""


class Move(NamedTuple):
    """A message that waits for another instant than it did."""

    bucket: int
    id: UUID
    was: datetime
    instant: datetime


async def rules(pool: Pool) -> str | None:
    """The release of the zones' rules by which all that waits was last looked at."""
    release: str | None = await pool.fetchval(sql("zoned", "rules"))
    return release


async def keep_rules(owner: Pool, release: str) -> None:
    """All that waits was looked at by this release."""
    await owner.execute(sql("zoned", "keep_rules"), release)


async def waiting(engine: Pool, after: tuple[int, UUID], limit: int) -> list[asyncpg.Record]:
    """bucket, id, zone, wall, scheduled_at and is_promised of the next ones that wait."""
    return await engine.fetch(sql("zoned", "waiting"), *after, limit)


async def move(engine: Pool, moves: list[Move], now: datetime | None) -> int:
    """Move those that still stand where they were read; how many."""
    return len(await engine.fetch(sql("zoned", "move"), *columns(moves), now))
