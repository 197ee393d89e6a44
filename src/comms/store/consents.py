"""Consents and preferences as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.store.database import Connection
from comms.store.statements import columns, sql

Kind = Literal["consent", "preference"]


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


class Imported(NamedTuple):
    """What a person has said at a time that may have passed, in the order of the statement's arrays."""

    bucket: int
    id: UUID
    brand_id: str
    person_hash: bytes
    channel: str
    category: str
    allowed: bool
    content: Sealed
    said_at: datetime


async def put_many(
    connection: Connection, kind: Kind, given: list[Imported], now: datetime, by: tuple[str, UUID]
) -> set[UUID]:
    """Write rows of which none stands there twice; the ids of those that nothing later stood against."""
    found = await connection.fetch(sql("consents", f"import_{kind}s"), *columns(given), now, *by)
    return {row["id"] for row in found}


async def page(
    connection: Connection, kind: Kind, bucket: int, brand_id: str, after: tuple[bytes, UUID], limit: int
) -> list[asyncpg.Record]:
    """A brand's rows in one bucket, after that of (person_hash, id)."""
    return await connection.fetch(sql("consents", f"export_{kind}s"), bucket, brand_id, *after, limit)
