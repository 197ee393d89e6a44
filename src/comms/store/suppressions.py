"""Suppressions as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection
from comms.store.statements import columns, sql


class NewSuppression(NamedTuple):
    """One row to add, in the order of the statement's arrays."""

    bucket: int
    id: UUID
    brand_id: str
    channel: str
    address_hash: bytes
    reason: str
    content: Sealed
    suppressed_at: datetime


async def add(
    connection: Connection,
    rows: list[NewSuppression],
    now: datetime,
    actor: str | None = None,
    request_id: UUID | None = None,
) -> list[asyncpg.Record]:
    """Write those that do not stand yet; what stands now, one an address and reason."""
    return await connection.fetch(sql("suppressions", "add"), *columns(rows), now, actor, request_id)


async def add_heard(connection: Connection, rows: list[NewSuppression]) -> None:
    """Write what a provider tells of, each at its time, unless the address was let go since."""
    await connection.execute(sql("suppressions", "add_heard"), *columns(rows))


async def start(connection: Connection, stop: NewSuppression) -> None:
    """Lift the address's suppression for `stop`'s reason, where that is no younger than `stop`."""
    await connection.execute(sql("suppressions", "start"), *stop)


async def standing(
    connection: Connection, bucket: int, brand_id: str, channel: str, address_hash: bytes
) -> list[asyncpg.Record]:
    """Those of an address that are not lifted: one a reason, newest first."""
    return await connection.fetch(sql("suppressions", "standing"), bucket, brand_id, channel, address_hash)


async def lift(
    connection: Connection, bucket: int, suppression_id: UUID, now: datetime, actor: str, request_id: UUID
) -> None:
    """Lift one, where it stands."""
    await connection.execute(sql("suppressions", "lift"), bucket, suppression_id, now, actor, request_id)


async def get(connection: Connection, bucket: int, suppression_id: UUID) -> asyncpg.Record | None:
    """One, lifted or not."""
    return await connection.fetchrow(sql("suppressions", "get"), bucket, suppression_id)


async def page(
    connection: Connection, bucket: int, brand_id: str, after: tuple[str, bytes, str], limit: int
) -> list[asyncpg.Record]:
    """A brand's in one bucket that stand, after that of (channel, address_hash, reason)."""
    return await connection.fetch(sql("suppressions", "export"), bucket, brand_id, *after, limit)
