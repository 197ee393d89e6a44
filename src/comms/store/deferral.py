"""Messages that our own decision puts off, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class Deferred(NamedTuple):
    """A message that waits until `due_at`, and may be late until `deadline`, in the order of the arrays."""

    bucket: int
    id: UUID
    attempt: int
    reason: str
    due_at: datetime
    deadline: datetime
    decision: dict[str, Any]


async def defer(
    connection: Connection | Pool,
    owner: UUID,
    now: datetime | None,
    rows: list[Deferred],
    _answers: Sequence[object],
) -> set[UUID]:
    """Put messages off; the ids that were still ours. No provider was called, so none has answered."""
    moved = await connection.fetch(sql("deferral", "defer"), now, *columns(rows), owner)
    return {row["id"] for row in moved}
