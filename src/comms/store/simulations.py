"""What waits, read ahead of its time: nothing is claimed."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from comms.store.database import Connection
from comms.store.statements import sql


async def waiting(
    connection: Connection,
    brand_id: str,
    person_hash: bytes | None,
    until: datetime,
    now: datetime | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The next due of a person, or of the brand, at most `limit`; the database's clock beside each."""
    if person_hash is None:
        return await connection.fetch(sql("simulations", "of_brand"), brand_id, until, now, limit)
    return await connection.fetch(sql("simulations", "of_person"), brand_id, until, now, limit, person_hash)
