"""What providers say of messages afterwards, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection
from comms.store.statements import columns, sql


class Reference(NamedTuple):
    """What a provider calls a delivery; the bucket is the reference's own."""

    bucket: int
    provider_id: str
    reference: str
    message_id: UUID
    n: int


class Which(NamedTuple):
    """A delivery."""

    bucket: int
    message_id: UUID
    n: int


class Note(NamedTuple):
    """An entry of the ledger; without a message it is about an address."""

    bucket: int
    message_id: UUID | None
    brand_id: str
    at: datetime
    event: str
    details: dict[str, Any]


class Told(NamedTuple):
    """What an event says of a delivery whose answer is not known: `taken` or `refused`."""

    bucket: int
    message_id: UUID
    n: int
    heard: str
    reason: str | None


class Settled(NamedTuple):
    """How a message ended that was unknown."""

    bucket: int
    id: UUID
    is_sent: bool
    reason: str | None
    provider_id: str | None


async def keep(
    connection: Connection, provider_id: str, events: list[tuple[int, bytes]], now: datetime
) -> set[bytes]:
    """Remember events by bucket and hash; the hashes that are new."""
    rows = await connection.fetch(sql("events", "keep"), *columns(events), provider_id, now)
    return {row["event_hash"] for row in rows}


async def refer(connection: Connection, references: list[Reference]) -> None:
    """Remember what a provider calls deliveries."""
    await connection.execute(sql("events", "refer"), *columns(references))


async def referred(
    connection: Connection, provider_id: str, references: list[tuple[int, str]]
) -> dict[str, tuple[UUID, int]]:
    """The deliveries that a provider calls so: message_id and n by reference."""
    buckets, names = columns(references)
    rows = await connection.fetch(sql("events", "referred"), buckets, provider_id, names)
    return {row["reference"]: (row["message_id"], row["n"]) for row in rows}


async def deliveries(connection: Connection, provider_id: str, which: list[Which]) -> list[asyncpg.Record]:
    """Those that this provider was handed, with what an event needs of them; locked."""
    return await connection.fetch(sql("events", "deliveries"), *columns(which), provider_id)


async def note(connection: Connection, notes: list[Note]) -> None:
    """Write entries of the ledger, in this order."""
    await connection.execute(sql("events", "note"), *columns(notes))


async def hear(connection: Connection, told: list[Told]) -> None:
    """Keep what is known of deliveries that have no last answer; one a delivery."""
    await connection.execute(sql("events", "hear"), *columns(told))


async def in_doubt(connection: Connection, messages: list[tuple[int, UUID]]) -> list[asyncpg.Record]:
    """The deliveries of those messages that are unknown; locked."""
    return await connection.fetch(sql("events", "in_doubt"), *columns(messages))


async def settle(connection: Connection, now: datetime | None, settled: list[Settled]) -> set[UUID]:
    """End messages that are unknown; those that still were."""
    rows = await connection.fetch(sql("events", "settle"), now, *columns(settled))
    return {row["id"] for row in rows}
