"""Facts that callers keep, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection
from comms.store.statements import sql


class Fact(NamedTuple):
    """What is so, in the order of the statement's parameters."""

    bucket: int
    id: UUID
    brand_id: str
    value_hash: bytes
    content: Sealed
    now: datetime
    actor: str
    request_id: UUID


async def put(connection: Connection, fact: Fact) -> None:
    """Write a fact, in place of what was so before."""
    await connection.execute(sql("facts", "put"), *fact)


async def get(connection: Connection, bucket: int, fact_id: UUID) -> asyncpg.Record | None:
    """The fact, or None."""
    return await connection.fetchrow(sql("facts", "get"), bucket, fact_id)


async def remove(
    connection: Connection, bucket: int, fact_id: UUID, now: datetime, actor: str, request_id: UUID
) -> bool:
    """Forget a fact; False where there was none."""
    statement = sql("facts", "remove")
    return await connection.fetchval(statement, bucket, fact_id, now, actor, request_id) is not None
