"""A message that replaces another, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from comms.store.database import Connection
from comms.store.statements import sql


class Superseded(NamedTuple):
    """A message that another replaces, with the verdict that is kept, in the order of the parameters."""

    bucket: int
    id: UUID
    now: datetime | None
    decision: dict[str, Any]
    by: UUID
    actor: str
    request_id: UUID


async def supersede(connection: Connection, old: Superseded) -> bool:
    """Cancel it; False where it does not wait any more."""
    return await connection.fetchval(sql("supersession", "supersede"), *old) is not None
