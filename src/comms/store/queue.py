"""The queue as the dispatcher sees it: peek, claim, mark, record, rescue."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.domain.content import Sealed
from comms.domain.shares import Portion
from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class Claim(NamedTuple):
    """A message that is ours until its lease ends; `clock` is what the database's clock read.

    `attempt` is the fence: it counts claims, `uncounted` of which came to no call, by our own decision or a
    provider's.
    """

    bucket: int
    id: UUID
    brand_id: str
    channel: str
    template_id: UUID
    version_id: UUID
    hipaa: bool
    person_hash: bytes
    address: Sealed
    variables: Sealed
    options: Sealed | None
    scheduled_at: datetime
    due_at: datetime
    deadline: datetime
    attempt: int
    uncounted: int
    clock: datetime

    @property
    def tries(self) -> int:
        """Attempts that count, this one included: those that could call nobody do not."""
        return self.attempt - self.uncounted


class Mark(NamedTuple):
    """One delivery that is about to be handed over; the payload is frozen at its first attempt."""

    bucket: int
    message_id: UUID
    n: int
    provider_id: str
    payload: Sealed
    attempt: int


class Ended(NamedTuple):
    """How one delivery's attempt ended."""

    bucket: int
    message_id: UUID
    n: int
    attempt: int
    outcome: str
    reason: str | None
    reference: str | None
    provider_id: str


class Finished(NamedTuple):
    """A message that moves no more: accept, reject, suppress or expire."""

    bucket: int
    id: UUID
    attempt: int
    event: str
    reason: str | None
    provider_id: str | None
    decision: dict[str, Any]


class Waiting(NamedTuple):
    """A message that goes back to the queue: retry, defer or hold. What does not count keeps its place."""

    bucket: int
    id: UUID
    attempt: int
    event: str
    reason: str
    delay: timedelta
    decision: dict[str, Any] | None
    counts: bool = True


class Unknown(NamedTuple):
    """A message whose provider was called and whose answer was lost."""

    bucket: int
    id: UUID
    attempt: int
    reason: str
    provider_id: str
    decision: dict[str, Any]


async def peek(engine: Pool, held: Collection[str], floor: datetime) -> asyncpg.Record:
    """The database's clock and the next due time from `floor` on of brands that are not held (None: none)."""
    row = await engine.fetchrow(sql("queue", "peek"), list(held), floor)
    assert row is not None  # noqa: S101 - a select without from answers one row
    return row


async def claim(
    engine: Pool,
    now: datetime | None,
    ahead: timedelta,
    floor: datetime,
    limit: int,
    owner: UUID,
    lease: timedelta,
    held: Collection[str],
    beat: int,
) -> list[Claim]:
    """Take up to `limit` messages that are due within `ahead` and not before `floor`; oldest first.

    Not those of brands that are `held`; none where the owner's `beat`, its last report, is not known.
    """
    arguments = (now, ahead, floor, limit, owner, lease, list(held), beat)
    return await _claims(engine, sql("queue", "claim"), *arguments)


async def lanes(engine: Pool, held: Collection[str]) -> list[asyncpg.Record]:
    """The oldest of each template: template_id, brand_id, channel, due_at, deadline; clock. None `held`."""
    return await engine.fetch(sql("queue", "lanes"), list(held))


async def claim_portions(
    engine: Pool,
    now: datetime | None,
    ahead: timedelta,
    limit: int,
    owner: UUID,
    lease: timedelta,
    held: Collection[str],
    beat: int,
    portions: list[Portion],
) -> list[Claim]:
    """Take of each template what its portion says, as `claim` does."""
    arguments = (now, ahead, limit, owner, lease, list(held), *columns(portions), beat)
    return await _claims(engine, sql("queue", "claim_portions"), *arguments)


async def frozen(engine: Pool, messages: list[tuple[int, UUID]]) -> list[asyncpg.Record]:
    """The deliveries that earlier attempts froze."""
    return await engine.fetch(sql("queue", "frozen"), *map(list, zip(*messages, strict=True)))


async def freeze(
    connection: Connection | Pool, owner: UUID, now: datetime | None, marks: list[Mark]
) -> set[tuple[UUID, int]]:
    """Mark deliveries as being handed over; those that are still ours."""
    rows = await connection.fetch(sql("queue", "freeze"), now, *columns(marks), owner)
    return {(row["message_id"], row["n"]) for row in rows}


async def finish(
    connection: Connection | Pool,
    owner: UUID,
    now: datetime | None,
    rows: list[Finished],
    answers: list[Ended],
) -> set[UUID]:
    """End messages; the ids that were still ours."""
    return await _move(connection, "finish", owner, now, rows, answers)


async def wait_again(
    connection: Connection | Pool,
    owner: UUID,
    now: datetime | None,
    rows: list[Waiting],
    answers: list[Ended],
) -> set[UUID]:
    """Put messages back; the ids that were still ours."""
    return await _move(connection, "wait_again", owner, now, rows, answers)


async def lose(
    connection: Connection | Pool,
    owner: UUID,
    now: datetime | None,
    rows: list[Unknown],
    answers: list[Ended],
) -> set[UUID]:
    """Leave messages as unknown; the ids that were still ours."""
    return await _move(connection, "lose", owner, now, rows, answers)


async def lapsed(
    engine: Pool, now: datetime | None, ours: Collection[UUID], silence: timedelta
) -> list[asyncpg.Record]:
    """Claims whose lease ran out, and what one claimed and did not begin who was not heard of for `silence`.

    But for `ours`; each with its deliveries: outcome, provider_id, doubts.
    """
    return await engine.fetch(sql("queue", "lapsed"), now, list(ours), silence)


async def rescue(
    engine: Pool, now: datetime | None, bucket: int, message_id: UUID, attempt: int, pause: timedelta
) -> bool:
    """Give such a claim back to everybody, after a pause; False where somebody else was faster."""
    async with engine.acquire() as connection, connection.transaction():
        await connection.execute(sql("queue", "hold_claim"), bucket, message_id, attempt)
        return bool(
            await connection.fetchval(sql("queue", "rescue"), now, bucket, message_id, attempt, pause)
        )


async def lose_lapsed(
    engine: Connection, now: datetime | None, bucket: int, message_id: UUID, attempt: int
) -> bool:
    """Leave a lapsed claim that was being handed over as unknown."""
    return bool(await engine.fetchval(sql("queue", "lose_lapsed"), now, bucket, message_id, attempt))


async def expire_waiting(
    engine: Pool, now: datetime | None, decision: dict[str, Any], held: Collection[str], most: int
) -> int:
    """End a bite of what waited too long, with the verdict that is kept; how many. Held brands' waits on."""
    return len(await engine.fetch(sql("queue", "expire_waiting"), now, decision, list(held), most))


async def _claims(engine: Pool, statement: str, *arguments: Any) -> list[Claim]:
    """Oldest first."""
    rows = await engine.fetch(statement, *arguments)
    claims = [await _reread(engine, row) if row["is_stale"] else _claim(row) for row in rows]
    return sorted(claims, key=lambda claim: claim.due_at)


def _claim(row: asyncpg.Record, **newer: Any) -> Claim:
    return Claim(**{name: row[name] for name in Claim._fields} | newer)


async def _reread(engine: Pool, row: asyncpg.Record) -> Claim:
    content = await engine.fetchrow(sql("queue", "content"), row["bucket"], row["id"])
    assert content is not None  # noqa: S101 - messages stay
    return _claim(row, version_id=content["version_id"], variables=content["variables"])


async def _move(
    connection: Connection | Pool,
    name: str,
    owner: UUID,
    now: datetime | None,
    rows: Iterable[Any],
    answers: list[Ended],
) -> set[UUID]:
    ended = columns(answers) if answers else [[] for _ in Ended._fields]
    moved = await connection.fetch(sql("queue", name), now, *columns(rows), owner, *ended)
    return {row["id"] for row in moved}
