"""Who works, as rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from comms.store.database import Connection, Pool
from comms.store.statements import sql

WAKE = "comms_wake"
"""The channel on which sleeping workers hear of sooner work."""


async def wake(engine: Pool) -> None:
    """Tell those that sleep to look again."""
    await engine.execute(sql("workers", "wake"), WAKE)


class Reported(NamedTuple):
    """What a report is answered: how many it knows of, and in which history; `kept` of the directory's."""

    beat: int
    kept: int | None
    history: str
    cleared: str
    paused_reason: str | None
    resumed_at: datetime


async def report(
    engine: Connection | Pool,
    owner: UUID,
    epoch: int,
    lease: timedelta,
    history: str | None = None,
    witness_id: UUID | None = None,
    *,
    vouches: bool = False,
    public_url: str | None = None,
) -> Reported:
    """A worker lives, acts by this set-up and setting, and found all that it remembers in this history."""
    values = (owner, epoch, lease, history, vouches, witness_id, public_url)
    row = await engine.fetchrow(sql("workers", "report"), *values)
    assert row is not None  # noqa: S101 - an upsert answers its row
    return Reported(*row)


async def leave(engine: Pool, owner: UUID) -> None:
    """A worker begins nothing any more."""
    await engine.execute(sql("workers", "leave"), owner)


async def behind(engine: Pool, epoch: int) -> int:
    """How many live workers act by an older set-up."""
    count: int = await engine.fetchval(sql("workers", "behind"), epoch)
    return count


async def forget(engine: Pool) -> None:
    """Drop those that have been gone for long."""
    await engine.execute(sql("workers", "forget"))
