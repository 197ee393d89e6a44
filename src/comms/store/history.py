"""The database's history, and whether anything may be sent in it, as rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql

COMMITS_LOST, NOBODY_REMEMBERS, RESTORED = "commits_lost", "nobody_remembers", "restored"


class Mark(NamedTuple):
    """A hand-over whose mark was acknowledged."""

    bucket: int
    message_id: UUID
    n: int
    attempt: int


class State(NamedTuple):
    """`history` is this database's, `cleared` the one in which messages may be claimed."""

    installation_id: UUID
    cleared: str
    history: str
    paused_at: datetime | None
    paused_reason: str | None
    resumed_at: datetime
    other_since: datetime | None


async def state(pool: Connection | Pool) -> State:
    """What stands now."""
    row = await pool.fetchrow(sql("history", "state"))
    assert row is not None  # noqa: S101 - the installation's one row
    return State(*row)


async def witnessed(pool: Pool, witness_id: UUID) -> int:
    """The last beat that is known of a witness; 0: it is not known."""
    return await pool.fetchval(sql("history", "witnessed"), witness_id) or 0


async def missing(pool: Pool, marks: list[Mark]) -> int:
    """How many of these marks are not there."""
    if not marks:
        return 0
    found: int = await pool.fetchval(sql("history", "missing"), *columns(marks))
    return found


async def notice(pool: Pool, history: str) -> None:
    """Another one was met, and nobody has vouched for it."""
    await pool.execute(sql("history", "notice"), history)


async def clear(pool: Pool, history: str, patience: timedelta) -> bool:
    """Claim in this one from now on, if it is vouched for."""
    return bool(await pool.fetchval(sql("history", "clear"), history, patience))


async def is_unvouched(pool: Pool, history: str, patience: timedelta) -> bool:
    """Has nobody vouched for it in all that time?"""
    return bool(await pool.fetchval(sql("history", "is_unvouched"), history, patience))


async def pause(
    pool: Connection | Pool,
    reason: str,
    now: datetime | None,
    actor: str | None = None,
    request_id: UUID | None = None,
) -> bool:
    """Claim nothing from now on; False where it is so already."""
    return bool(await pool.fetchval(sql("history", "pause"), reason, actor, request_id, now))


async def resume(
    connection: Connection, details: dict[str, Any], now: datetime | None, actor: str, request_id: UUID
) -> bool:
    """Claim again, in the history that this is; False where nothing was paused."""
    return bool(await connection.fetchval(sql("history", "resume"), details, actor, request_id, now))


async def doubtful(pool: Pool, now: datetime | None) -> list[asyncpg.Record]:
    """By template: brand_id, template_id, key, channel, max_late, messages, behind (seconds)."""
    return await pool.fetch(sql("history", "doubtful"), now)


async def claimed(pool: Pool) -> int:
    """How many messages are under a claim."""
    found: int = await pool.fetchval(sql("history", "claimed"))
    return found


async def give_up(
    connection: Connection,
    templates: list[UUID],
    now: datetime | None,
    actor: str,
    request_id: UUID,
    limit: int,
) -> int:
    """Expire a bite of what is doubtful of these templates; how many."""
    values = (templates, actor, request_id, limit, now)
    return len(await connection.fetch(sql("history", "give_up"), *values))
