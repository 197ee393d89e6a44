from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from comms.store.database import Connection, connect_once
from comms.store.migrate import MigrationRefused, migrate, migrations

ALL = [migration.name for migration in migrations()]


@pytest.fixture
async def empty(postgres: str) -> AsyncIterator[str]:
    """The address of a new database on the same server."""
    owner = await connect_once(postgres)
    await owner.execute("create database fresh")
    yield postgres.replace("/postgres?", "/fresh?")
    await owner.execute("drop database fresh with (force)")
    await owner.close()


@pytest.fixture
async def connection(empty: str) -> AsyncIterator[Connection]:
    opened = await connect_once(empty)
    yield opened
    await opened.close()


@pytest.mark.anyio
async def test_a_second_time_there_is_nothing_to_do(connection: Connection) -> None:
    assert await migrate(connection) == ALL
    assert await migrate(connection) == []


@pytest.mark.anyio
async def test_of_many_at_once_one_does_the_work(empty: str) -> None:
    connections = [await connect_once(empty) for _ in range(4)]
    done = await asyncio.gather(*(migrate(one) for one in connections))
    for one in connections:
        await one.close()
    assert sorted(done) == [[], [], [], ALL]


@pytest.mark.anyio
async def test_a_changed_file_is_refused(connection: Connection) -> None:
    await migrate(connection)
    await connection.execute("update migration set checksum = 'other'")
    with pytest.raises(MigrationRefused, match="was changed after it was applied"):
        await migrate(connection)


@pytest.mark.anyio
async def test_a_newer_database_is_refused(connection: Connection) -> None:
    await migrate(connection)
    await connection.execute("insert into migration values (9999, 'later', 'x')")
    with pytest.raises(MigrationRefused, match="newer than this comms"):
        await migrate(connection)
