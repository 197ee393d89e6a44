"""Providers that are not to be called for now, as rows that all workers share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from comms.store.database import Pool
from comms.store.statements import sql

ALL = "*"
"""In place of a brand: it concerns all of them."""


class Key(NamedTuple):
    """A provider, for one brand or for `ALL`."""

    provider_id: str
    brand_id: str


class Standing(NamedTuple):
    """`seconds` until one call may find out whether it is well; `set_up_at`: of which set-up it was found."""

    key: Key
    set_up_at: datetime
    reason: str
    opened_at: datetime
    failures: int
    seconds: float


class Pauses(NamedTuple):
    """Seconds until the first probe, and the most there may be until a later one."""

    first: float
    longest: float


async def standing(engine: Pool, now: datetime | None) -> list[Standing]:
    """All that are open."""
    rows = await engine.fetch(sql("breaker", "standing"), now)
    return [Standing(Key(row["provider_id"], row["brand_id"]), *tuple(row)[2:]) for row in rows]


async def open_(
    engine: Pool,
    now: datetime | None,
    key: Key,
    set_up_at: datetime,
    owner: UUID,
    pauses: Pauses,
    asked: float,
    reason: str,
) -> bool:
    """Not to be called; False where another has said so before. `asked`: seconds that the provider wants."""
    arguments = (now, *key, set_up_at, owner, *pauses, asked, reason)
    return await engine.fetchval(sql("breaker", "open"), *arguments) is not None


async def probe(engine: Pool, now: datetime | None, key: Key, owner: UUID, lease: timedelta) -> bool:
    """May this worker, and nobody else, find out?"""
    return await engine.fetchval(sql("breaker", "probe"), now, *key, owner, lease) is not None


async def close(engine: Pool, key: Key, owner: UUID) -> bool:
    """It is well again, as its prober found."""
    return await engine.fetchval(sql("breaker", "close"), *key, owner) is not None
