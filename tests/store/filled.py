"""A database with so many rows in it that the planner takes its tables for large ones: `filled.sql` says which."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
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


async def _as_it_is(_: Connection) -> None:
    """The tables as they were migrated."""


@asynccontextmanager
async def database(
    postgres: str,
    name: str,
    messages: int = MESSAGES,
    shape: Callable[[Connection], Awaitable[None]] = _as_it_is,
) -> AsyncIterator[Connection]:
    """A database of that name on the same server, as its owner; `shape` is called before it is filled."""
    owner = await connect_once(postgres)
    await owner.execute(f"create database {name}")
    connection = await connect_once(postgres.replace("/postgres?", f"/{name}?"))
    try:
        await migrate(connection)
        await shape(connection)
        rows = _ROWS.replace(":buckets", ", ".join(map(str, BUCKETS))).replace(":messages", str(messages))
        await connection.execute(rows)
        yield connection
    finally:
        await connection.close()
        await owner.execute(f"drop database {name} with (force)")
        await owner.close()
