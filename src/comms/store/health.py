"""What the database knows of the service's health."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from comms.store.database import Pool
from comms.store.statements import sql


async def counts(pool: Pool) -> asyncpg.Record:
    """version, workers, the public_url that they build on, overdue (by a minute), lapsed."""
    row = await pool.fetchrow(sql("health", "counts"))
    assert row is not None  # noqa: S101 - a select without from answers one row
    return row


async def backlog(pool: Pool, now: datetime | None) -> asyncpg.Record:
    """How many are `due` (100,000 at most) and `sending`; `overdue`: seconds since the oldest was due."""
    row = await pool.fetchrow(sql("health", "backlog"), now)
    assert row is not None  # noqa: S101 - a select without from answers one row
    return row


async def unknown(pool: Pool) -> list[asyncpg.Record]:
    """brand_id and how many messages of it nobody knows the end of."""
    return await pool.fetch(sql("health", "unknown"))


async def channels(pool: Pool) -> list[asyncpg.Record]:
    """brand_id and channel of every published template."""
    return await pool.fetch(sql("health", "channels"))


async def refusable(pool: Pool) -> bool:
    """Is there a published template of e-mail that is not transactional?"""
    return bool(await pool.fetchval(sql("health", "refusable")))
