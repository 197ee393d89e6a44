"""Consents and preferences as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection
from comms.store.statements import sql


class Said(NamedTuple):
    """What a person says of a category on a channel, in the order of the statement's parameters."""

    bucket: int
    id: UUID
    brand_id: str
    person_hash: bytes
    channel: str
    category: str
    allowed: bool
    content: Sealed
    now: datetime
    actor: str
    request_id: UUID


async def put_consent(connection: Connection, said: Said) -> None:
    """Write a consent, given or withdrawn."""
    await connection.execute(sql("consents", "put_consent"), *said)


async def put_preference(connection: Connection, said: Said) -> None:
    """Write a preference."""
    await connection.execute(sql("consents", "put_preference"), *said)


async def consent(connection: Connection, bucket: int, consent_id: UUID) -> asyncpg.Record | None:
    """The consent, or None."""
    return await connection.fetchrow(sql("consents", "consent"), bucket, consent_id)


async def consents(
    connection: Connection, bucket: int, brand_id: str, person_hash: bytes, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """The person's consents, newest first."""
    key = (bucket, brand_id, person_hash, before, limit)
    return await connection.fetch(sql("consents", "consents"), *key)


async def preferences(
    connection: Connection, bucket: int, brand_id: str, person_hash: bytes, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """The person's preferences, newest first."""
    key = (bucket, brand_id, person_hash, before, limit)
    return await connection.fetch(sql("consents", "preferences"), *key)
