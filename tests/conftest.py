"""What every test may ask for: a real PostgreSQL, migrated once a run, emptied after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from comms.embedded_postgres import EmbeddedPostgres
from comms.store.database import Database, connect, connect_once
from comms.store.migrate import migrate

KEPT = {"migration", "installation"}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database; its server ends with the run."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data")
    server.start()
    asyncio.run(_migrate(server.dsn))
    yield server.dsn
    server.stop()


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """Pools on an empty schema. Rows are deleted afterwards: a truncate costs twenty times as much."""
    opened = await connect(postgres)
    yield opened
    tables = await opened.owner.fetch("select tablename from pg_tables where schemaname = 'public'")
    names = [row["tablename"] for row in tables if row["tablename"] not in KEPT]
    async with opened.owner.acquire() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        for name in names:
            await connection.execute(f'delete from "{name}"')
    await opened.close()


async def _migrate(dsn: str) -> None:
    connection = await connect_once(dsn)
    await migrate(connection)
    await connection.close()


@pytest.fixture
def source() -> Path:
    """The product's own code, for tests about it."""
    return Path(__file__).parent.parent / "src" / "comms"
