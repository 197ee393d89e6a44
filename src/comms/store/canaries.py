"""Canaries as rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection, Pool
from comms.store.statements import sql


class NewCanary(NamedTuple):
    """What is set up, in the order of the statement's parameters."""

    provider_id: str
    canary_id: UUID
    brand_id: str
    channel: str
    template_key: str
    recipient: Sealed
    every: timedelta


class Found(NamedTuple):
    """What is known of the one that is under way; `sent` and `delivered` in seconds from its beginning."""

    settled: bool
    problem: str | None
    sent: float | None
    delivered: float | None


async def put(connection: Connection, now: datetime | None, new: NewCanary) -> asyncpg.Record:
    """Set one up, or another in its place; the first goes at once."""
    row = await connection.fetchrow(sql("canaries", "put"), now, *new)
    assert row is not None  # noqa: S101 - an upsert answers its row
    return row


async def remove(connection: Connection, provider_id: str) -> bool:
    """No more of them; False where there was none."""
    return bool(await connection.fetchval(sql("canaries", "remove"), provider_id))


async def found(owner: Pool, now: datetime | None, provider_id: str | None = None) -> list[asyncpg.Record]:
    """All, or the provider's, with `is_idle`."""
    return await owner.fetch(sql("canaries", "all"), now, provider_id)


async def unsettled(
    owner: Pool, now: datetime | None, provider_id: str | None = None
) -> list[asyncpg.Record]:
    """Those under way, or the provider's, with `age` and `is_over`."""
    return await owner.fetch(sql("canaries", "unsettled"), now, provider_id)


async def begin(owner: Pool, now: datetime | None, provider_id: str | None = None) -> list[asyncpg.Record]:
    """Begin those whose time has come, or the provider's now."""
    return await owner.fetch(sql("canaries", "begin"), now, provider_id)


async def released(owner: Pool, provider_id: str, begun_at: datetime, message_id: UUID) -> None:
    """It was accepted as this message."""
    await owner.execute(sql("canaries", "released"), provider_id, begun_at, message_id)


async def judged(owner: Pool, provider_id: str, begun_at: datetime, known: Found) -> None:
    """Keep what is known of it."""
    await owner.execute(sql("canaries", "judged"), provider_id, begun_at, *known)
