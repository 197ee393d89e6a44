"""Devices as rows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection, Pool
from comms.store.statements import sql


async def put(
    connection: Connection,
    device_id: UUID,
    brand_id: str,
    person_hash: bytes,
    kind: str,
    content: Sealed,
    app: str | None,
    now: datetime,
) -> asyncpg.Record:
    """Write a device, or say whose it is now."""
    values = (device_id, brand_id, person_hash, kind, content, app, now)
    row = await connection.fetchrow(sql("devices", "put"), *values)
    assert row is not None  # noqa: S101 - an upsert answers its row
    return row


async def of_person(
    connection: Connection | Pool, brand_id: str, person_hash: bytes, limit: int
) -> list[asyncpg.Record]:
    """The person's devices, newest first."""
    return await connection.fetch(sql("devices", "of_person"), brand_id, person_hash, limit)


async def get(connection: Connection | Pool, brand_id: str, device_id: UUID) -> asyncpg.Record | None:
    """One device of the brand."""
    return await connection.fetchrow(sql("devices", "get"), brand_id, device_id)


async def remove(connection: Connection, brand_id: str, device_id: UUID) -> bool:
    """Forget a device; False where it is not there."""
    return bool(await connection.fetchval(sql("devices", "remove"), brand_id, device_id))
