"""Inbox items and the sandbox's outbox as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.domain.ids import bucket_of
from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class InboxItem(NamedTuple):
    """What a message puts into a person's inbox; its id is the message's."""

    bucket: int
    id: UUID
    brand_id: str
    person_hash: bytes
    category: str
    content: Sealed


class KeptItem(NamedTuple):
    """What the sandbox was handed."""

    bucket: int
    message_id: UUID
    brand_id: str
    provider_id: str
    channel: str
    content: Sealed


BELL = "comms_inbox"
"""Who listens to it hears whose inbox has changed: persons' hashes in hexadecimal, with commas."""


async def put_in_inbox(connection: Connection | Pool, items: list[InboxItem], now: datetime) -> None:
    """Write items, and tell who listens; a second time changes nothing."""
    await connection.execute(sql("items", "put_in_inbox"), *columns(items), now)


async def keep_in_sandbox(engine: Pool, items: list[KeptItem], now: datetime) -> None:
    """Remember what the sandbox was handed."""
    await engine.execute(sql("items", "keep_in_sandbox"), *columns(items), now)


async def inbox(
    connection: Connection, brand_id: str, person_hash: bytes, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """The person's items, newest first."""
    cursor = (before, bucket_of(before) if before else None)
    return await connection.fetch(sql("items", "inbox"), brand_id, person_hash, *cursor, limit)


async def arrived(
    connection: Connection, brand_id: str, person_hash: bytes, after: int, limit: int
) -> list[asyncpg.Record]:
    """The person's items after the `n`th, oldest first."""
    return await connection.fetch(sql("items", "arrived"), brand_id, person_hash, after, limit)


async def unread(connection: Connection, brand_id: str, person_hash: bytes) -> tuple[int, int]:
    """How many the person has not read, and the `n` of the newest of all; 0 where there is none."""
    row = await connection.fetchrow(sql("items", "unread"), brand_id, person_hash)
    assert row is not None  # noqa: S101 - a count answers one row
    return row["count"], row["newest"]


async def item(connection: Connection, item_id: UUID) -> asyncpg.Record | None:
    """One item."""
    return await connection.fetchrow(sql("items", "item"), bucket_of(item_id), item_id)


async def ring(connection: Connection, person_hash: bytes) -> None:
    """Tell who listens that the person's inbox has changed, once this is committed."""
    await connection.execute(sql("items", "ring"), person_hash)


async def bulk_read(
    connection: Connection, brand_id: str, person_hash: bytes, items: list[UUID], now: datetime
) -> list[UUID]:
    """Mark items as read; those that were not."""
    rows = await connection.fetch(sql("items", "bulk_read"), brand_id, person_hash, items, now)
    return [row["id"] for row in rows]


async def sandbox(
    connection: Connection, brand_id: str, before: int | None, limit: int
) -> list[asyncpg.Record]:
    """What the sandbox was handed, newest first."""
    return await connection.fetch(sql("items", "sandbox"), brand_id, before, limit)


async def hear(
    connection: Connection | Pool,
    bucket: int,
    message_id: UUID,
    at: datetime,
    event: str,
    details: dict[str, Any] | None,
) -> None:
    """An event on a message's timeline that changes no status: delivered, bounced, read."""
    await connection.execute(sql("items", "hear"), bucket, message_id, at, event, details)
