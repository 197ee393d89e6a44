"""Decisions that were kept, as rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg

from comms.store.database import Pool
from comms.store.statements import sql

_PAGE = 1000


async def decided(pool: Pool) -> AsyncIterator[asyncpg.Record]:
    """Id and decision of every message that has one."""
    after = (-1, UUID(int=0))
    while page := await pool.fetch(sql("explanation", "decided"), *after, _PAGE):
        for row in page:
            yield row
        after = (page[-1]["bucket"], page[-1]["id"])
