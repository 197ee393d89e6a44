"""How fast providers with limits are handed messages, as rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from comms.store.database import Pool
from comms.store.statements import sql


class Wish(NamedTuple):
    """`busy` calls are under way, `wanted` would be; `starts` are instants to begin at, from `from_at` on."""

    busy: int
    wanted: int
    starts: int
    from_at: datetime | None


class Lease(NamedTuple):
    """`held` calls count as this worker's, `may` be under way from now on; `starts` are instants to begin at.

    `next_at`: the first instant that is not given away.
    """

    held: int
    may: int
    starts: list[datetime]
    next_at: datetime


async def any_limits(engine: Pool) -> bool:
    """Is there a provider with limits?"""
    found: bool = await engine.fetchval(sql("pace", "any_limits"))
    return found


async def lease(
    engine: Pool,
    now: datetime | None,
    provider_id: str,
    owner: UUID,
    wish: Wish,
    lasts: timedelta,
    concurrency: int | None,
    apart: timedelta | None,
    ahead: timedelta,
) -> Lease:
    """As much of what a worker wishes as there is for it. `apart`: the time between two calls."""
    arguments = (now, provider_id, owner, wish.busy, wish.wanted, lasts, concurrency, apart,
                 wish.starts, wish.from_at, ahead)  # fmt: skip
    row = await engine.fetchrow(sql("pace", "lease"), *arguments)
    if row is None:
        await engine.execute(sql("pace", "open"), provider_id)
        row = await engine.fetchrow(sql("pace", "lease"), *arguments)
    assert row is not None  # noqa: S101 - it was made a moment ago, and such rows stay
    given = row["given"] if apart else 0
    starts = [row["next_at"] - each * (apart or timedelta()) for each in range(given, 0, -1)]
    return Lease(row["held"], row["may"], starts, row["next_at"])
