"""Devices as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class Dead(NamedTuple):
    """A device that nobody holds any more, `since` when, and the message that found it out."""

    device_id: UUID
    brand_id: str
    since: datetime
    bucket: int
    message_id: UUID
    details: dict[str, Any]


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
    connection: Connection | Pool, brand_id: str, person_hash: bytes, limit: int | None
) -> list[asyncpg.Record]:
    """The person's devices, newest first."""
    return await connection.fetch(sql("devices", "of_person"), brand_id, person_hash, limit)


async def get(connection: Connection | Pool, brand_id: str, device_id: UUID) -> asyncpg.Record | None:
    """One device of the brand."""
    return await connection.fetchrow(sql("devices", "get"), brand_id, device_id)


async def remove(connection: Connection, brand_id: str, device_id: UUID) -> bool:
    """Forget a device; False where it is not there."""
    return bool(await connection.fetchval(sql("devices", "remove"), brand_id, device_id))


async def forget(connection: Connection | Pool, dead: list[Dead], at: datetime) -> list[UUID]:
    """Forget those that were not registered again, each with an entry on its message's timeline; which."""
    rows = await connection.fetch(sql("devices", "forget"), *columns(dead), at)
    return [row["device_id"] for row in rows]
