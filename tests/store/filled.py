"""A database with so many rows in it that the planner takes its tables for large ones: `filled.sql` says which."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from comms.domain.ids import BUCKETS
from comms.store.database import Connection, connect_once
from comms.store.migrate import migrate

MESSAGES = 12_000
_ROWS = (Path(__file__).parent / "filled.sql").read_text()


def message_id(i: int) -> UUID:
    """The i-th message's; it lies in `BUCKETS[i % 64]`."""
    return UUID(int=(1_700_000_000_000 + i) << 80 | 7 << 76 | (i % 64) << 70 | 0b10 << 62 | i)


@asynccontextmanager
async def database(postgres: str, name: str, *before: str) -> AsyncIterator[Connection]:
    """A database of that name on the same server, as its owner; what shall be done `before` it is filled."""
    owner = await connect_once(postgres)
    await owner.execute(f"create database {name}")
    connection = await connect_once(postgres.replace("/postgres?", f"/{name}?"))
    try:
        await migrate(connection)
        for statement in before:
            await connection.execute(statement)
        rows = _ROWS.replace(":buckets", ", ".join(map(str, BUCKETS))).replace(":messages", str(MESSAGES))
        await connection.execute(rows)
        yield connection
    finally:
        await connection.close()
        await owner.execute(f"drop database {name} with (force)")
        await owner.close()
