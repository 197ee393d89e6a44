"""Secure pages, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection
from comms.store.statements import sql


class State(NamedTuple):
    """What became of a page: wrong answers, and when it was shown, locked, recalled."""

    tries: int
    opened_at: datetime | None
    locked_at: datetime | None
    recalled_at: datetime | None


async def message(connection: Connection, bucket: int, message_id: UUID) -> asyncpg.Record | None:
    """The message with opened_at, locked_at and recalled_at of its page; None: there is none."""
    return await connection.fetchrow(sql("secure_pages", "message"), bucket, message_id)


async def hold(connection: Connection, bucket: int, message_id: UUID, brand_id: str) -> State:
    """The page as it stands, nobody else's until the transaction ends."""
    row = await connection.fetchrow(sql("secure_pages", "hold"), bucket, message_id, brand_id)
    assert row is not None  # noqa: S101 - an insert or an update answers its row
    return State(*row)


async def record(connection: Connection, bucket: int, message_id: UUID, state: State) -> None:
    """Write what became of it."""
    await connection.execute(sql("secure_pages", "record"), bucket, message_id, *state)
