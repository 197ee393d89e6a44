"""Builds everything once and hands it over; nobody imports this but the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from comms.embedded_postgres import EmbeddedPostgres, running_dsn
from comms.settings import Settings
from comms.store.database import connect_once
from comms.store.migrate import migrate


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The address of the database: the one named, the one that runs, or one started for the time being."""
    address = settings.database_url or running_dsn(settings.data_dir)
    if address:
        yield address
        return
    server = EmbeddedPostgres(settings.data_dir)
    server.start()
    try:
        yield server.dsn
    finally:
        server.stop()


async def bring_up_to_date(dsn: str) -> list[str]:
    """Apply the migrations that are missing; their names."""
    connection = await connect_once(dsn)
    try:
        return await migrate(connection)
    finally:
        await connection.close()
