"""Migrations: numbered SQL files, applied once each, in order, under a lock.

Two processes that start together both ask; the second waits for the lock and finds nothing to
do. A file that was changed after it was applied is refused: what runs must be what is here.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import NamedTuple

from comms.store.database import Connection

LOCK = int.from_bytes(hashlib.sha256(b"comms migrations").digest()[:8], "big", signed=True)


class MigrationRefused(Exception):
    """The database can't be migrated; the message says why and what to do."""


class Migration(NamedTuple):
    """One file: `0001_foundation.sql` is number 1."""

    number: int
    name: str
    sql: str
    checksum: bytes


def migrations() -> list[Migration]:
    """All files, in order."""
    found = [
        file for file in files("comms.store").joinpath("migrations").iterdir() if file.name.endswith(".sql")
    ]
    return [_migration(file.name, file.read_text()) for file in sorted(found, key=lambda file: file.name)]


async def migrate(connection: Connection) -> list[str]:
    """Apply what is missing, in one transaction; the names of what was applied."""
    if connection.get_server_version() < (15,):
        raise MigrationRefused("comms needs PostgreSQL 15 or newer.")
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")  # others' migrations are waited for
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        applied = await _applied(connection)
        _refuse_changed(applied)
        missing = [migration for migration in migrations() if migration.number not in applied]
        for migration in missing:
            for statement in statements(migration.sql):
                await connection.execute(statement)
            await connection.execute(
                "insert into migration (number, name, checksum) values ($1, $2, $3)",
                migration.number, migration.name, migration.checksum,
            )  # fmt: skip
    return [migration.name for migration in missing]


def statements(sql: str) -> list[str]:
    """A file's statements, one by one: together Citus would hand them to its machines as one, and be refused.

    Each ends with the last semicolon of a line that stands outside of dollar quotes.
    """
    found, begun = [], ""
    for line in sql.splitlines(keepends=True):
        begun += line
        if re.search(r";\s*(--.*)?$", line) and begun.count("$$") % 2 == 0:
            found.append(begun)
            begun = ""
    return found + [begun] * bool(re.sub(r"--.*", "", begun).strip())


async def missing(connection: Connection) -> list[str]:
    """The names of what `migrate` would apply; changes nothing."""
    if await connection.fetchval("select to_regclass('migration')") is None:
        return [migration.name for migration in migrations()]
    applied = {row["number"] for row in await connection.fetch("select number from migration")}
    return [migration.name for migration in migrations() if migration.number not in applied]


async def _applied(connection: Connection) -> dict[int, bytes]:
    await connection.execute(
        """create table if not exists migration (
             number integer primary key, name text not null, checksum bytea not null,
             applied_at timestamptz not null default now())"""
    )
    return {row["number"]: row["checksum"] for row in await connection.fetch("select * from migration")}


def _refuse_changed(applied: dict[int, bytes]) -> None:
    known = {migration.number: migration for migration in migrations()}
    for number, checksum in applied.items():
        if number not in known:
            raise MigrationRefused(f"The database is newer than this comms: it has migration {number}.")
        if known[number].checksum != checksum:
            raise MigrationRefused(
                f"{known[number].name} was changed after it was applied; restore the file."
            )


def _migration(name: str, sql: str) -> Migration:
    return Migration(int(name.split("_", maxsplit=1)[0]), name, sql, hashlib.sha256(sql.encode()).digest())
