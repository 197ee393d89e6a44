"""Who works, as rows."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from comms.store.database import Pool
from comms.store.statements import sql

WAKE = "comms_wake"
"""The channel on which sleeping workers hear of sooner work."""


async def wake(engine: Pool) -> None:
    """Tell those that sleep to look again."""
    await engine.execute(sql("workers", "wake"), WAKE)


async def report(engine: Pool, owner: UUID, epoch: int, lease: timedelta, public_url: str | None) -> None:
    """A worker lives, and acts by this set-up and that setting."""
    await engine.execute(sql("workers", "report"), owner, epoch, lease, public_url)


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
