"""Messages as rows: accepting groups of them, finding, changing and telling what happened."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.domain.ids import bucket_of
from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class NewMessage(NamedTuple):
    """One row to accept, in the order of the statement's arrays. Content is sealed."""

    bucket: int
    id: UUID
    brand_id: str
    kind: str
    key_hash: bytes
    fingerprint: bytes
    channel: str
    template_key: str
    template_id: UUID
    version_id: UUID
    hipaa: bool
    person_hash: bytes
    recipient_hash: bytes
    address: Sealed
    variables: Sealed
    scheduled_at: datetime
    zone: str | None
    wall: datetime | None
    deadline: datetime
    created_at: datetime
    actor: str
    request_id: UUID
    person_bucket: int
    generation: int
    key_epoch: int
    new_secret: Sealed | None
    """The person's secret that it is sealed under, wrapped, where it may not be written yet."""
    options: Sealed | None = None
    subject_hash: bytes | None = None


class SetupMoved(Exception):
    """Set-up changed since the group was checked; nothing was written."""


async def accept(
    engine: Connection | Pool, epoch: int, group: list[NewMessage], now: datetime | None
) -> set[UUID]:
    """Write a group in one statement; the ids that are new.

    The others' keys are taken, or their persons have other secrets by now.
    """
    # Sorted, so that two groups with the same keys wait for each other instead of embracing.
    ordered = sorted(group, key=lambda row: (row.bucket, row.key_hash))
    rows = await engine.fetch(sql("messages", "accept"), epoch, *columns(ordered), now)
    if any(not row["current"] for row in rows):
        raise SetupMoved
    return {row["id"] for row in rows}


async def find_dedup(
    connection: Connection | Pool, bucket: int, brand_id: str, key_hash: bytes
) -> asyncpg.Record | None:
    """message_id, kind and fingerprint of the message that holds this key."""
    return await connection.fetchrow(sql("messages", "find_dedup"), bucket, brand_id, key_hash)


async def get(connection: Connection | Pool, bucket: int, message_id: UUID) -> asyncpg.Record | None:
    """The message as it stands now."""
    return await connection.fetchrow(sql("messages", "get"), bucket, message_id)


class Filter(NamedTuple):
    """What a list is narrowed to, in the order of the statement's parameters; `before` is a cursor."""

    brand_id: str
    status: str | None = None
    person_hash: bytes | None = None
    recipient_hash: bytes | None = None
    channel: str | None = None
    template_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    id: UUID | None = None
    subject_hash: bytes | None = None


async def find(connection: Connection, wanted: Filter, limit: int) -> list[asyncpg.Record]:
    """The newest messages that fit, at most `limit`."""
    return await connection.fetch(sql("messages", "list_scheduled"), *wanted, limit)


async def open_ones(
    connection: Connection,
    brand_id: str,
    person_hash: bytes | None,
    template_key: str | None,
    channel: str | None,
    before: UUID | None,
    subject_hash: bytes | None,
    limit: int,
) -> list[UUID]:
    """Messages that have not ended yet, newest first."""
    narrowed = (brand_id, person_hash, template_key, channel, before, subject_hash, limit)
    return [row["id"] for row in await connection.fetch(sql("messages", "open"), *narrowed)]


async def cancel(
    connection: Connection, messages: list[UUID], now: datetime | None, actor: str, request_id: UUID
) -> set[UUID]:
    """Cancel those that wait; the others were too late."""
    buckets = [bucket_of(each) for each in messages]
    rows = await connection.fetch(sql("messages", "cancel"), buckets, messages, now, actor, request_id)
    return {row["id"] for row in rows}


async def lock_waiting(connection: Connection, bucket: int, message_id: UUID) -> asyncpg.Record | None:
    """due_at and deadline, held until the transaction ends; None where it does not wait."""
    return await connection.fetchrow(sql("messages", "lock_waiting"), bucket, message_id)


async def begun(connection: Connection, bucket: int, message_id: UUID) -> asyncpg.Record:
    """is_frozen and may_be_taken, of a message that is held by `lock_waiting`."""
    row = await connection.fetchrow(sql("messages", "begun"), bucket, message_id)
    assert row is not None  # noqa: S101 - an aggregate answers one row
    return row


class Rescheduled(NamedTuple):
    """A waiting message as it shall be, in the order of the statement's parameters."""

    bucket: int
    id: UUID
    due_at: datetime
    deadline: datetime
    zone: str | None
    wall: datetime | None
    variables: Sealed
    version_id: UUID
    now: datetime | None
    details: dict[str, Any]
    actor: str
    request_id: UUID


async def reschedule(connection: Connection, changed: Rescheduled) -> None:
    """Write it; the caller holds the row by `lock_waiting`."""
    await connection.execute(sql("messages", "reschedule"), *changed)


async def excuse_lateness(connection: Connection, brand_id: str, now: datetime | None) -> int:
    """Give what waits of a brand and is too late another deadline; how many."""
    return len(await connection.fetch(sql("messages", "excuse_lateness"), brand_id, now))


async def settle(
    connection: Connection,
    bucket: int,
    message_id: UUID,
    outcome: str,
    max_late: timedelta,
    now: datetime | None,
    actor: str,
    request_id: UUID,
) -> bool:
    """End an unknown message as sent or failed, or try it again; False where it is not unknown."""
    details = {"outcome": outcome}
    if outcome == "retry":
        statement = sql("messages", "settle_retry")
        key = (bucket, message_id, now, details, actor, request_id, max_late)
        return bool(await connection.fetchval(statement, *key))
    statement = sql("messages", "settle_final")
    sent = outcome == "sent"
    return bool(
        await connection.fetchval(statement, bucket, message_id, sent, now, details, actor, request_id)
    )


async def options(connection: Connection, bucket: int, message_id: UUID) -> Sealed | None:
    """What the message says of itself, sealed; None where it says nothing."""
    row = await connection.fetchrow(sql("messages", "options"), bucket, message_id)
    return Sealed(row["options"]) if row and row["options"] else None


async def timeline(connection: Connection | Pool, bucket: int, message_id: UUID) -> list[asyncpg.Record]:
    """What happened, in order: at, event, details."""
    return await connection.fetch(sql("messages", "timeline"), bucket, message_id)
