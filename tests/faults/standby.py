"""A second server that has every commit before its client hears of it, and takes over."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg

from comms.embedded_postgres import EmbeddedPostgres, _state
from tests.faults.rig import Rig, socket_of

_IN_STEP = "select exists (select from pg_stat_replication where sync_state = 'sync' and flush_lsn >= $1::text::pg_lsn)"

_EMPTY = ("pg_replslot", "pg_stat_tmp", "pg_notify", "pg_dynshmem", "pg_subtrans")
"""Folders whose files a copy must not have."""


class Standby(EmbeddedPostgres):
    """A server that follows another is ready in another word."""

    def _ready(self) -> bool:
        return super()._ready() or _state(self._cluster)[7:8] == ["standby"]


async def stand_by(rig: Rig, folder: Path) -> Standby:
    """Copy the primary while it works, follow it, and have its commits wait for the copy."""
    primary = await rig.database()
    await primary.execute("select pg_backup_start('standby', true)")
    source, target = rig.data / "postgres", folder / "postgres"
    await asyncio.to_thread(shutil.copytree, source, target, copy_function=_copy, ignore=_ignored)
    label = await primary.fetchval("select labelfile from pg_backup_stop(false)")
    (target / "backup_label").write_text(label)
    (target / "standby.signal").touch()
    for name in _EMPTY:
        (target / name).mkdir(exist_ok=True)
    with (target / "postgresql.auto.conf").open("a") as settings:
        where = f"host={socket_of(rig.server).parent} user=postgres application_name=standby"
        settings.write(f"primary_conninfo = '{where}'\n")
    standby = Standby(folder)
    standby.start()
    await primary.execute("alter system set synchronous_standby_names = '*'")
    await primary.execute("select pg_reload_conf()")
    written = await primary.fetchval("select pg_current_wal_lsn()::text")
    while not await primary.fetchval(_IN_STEP, written):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.02)
    await primary.close()
    return standby


async def take_over(rig: Rig, standby: Standby) -> None:
    """The primary dies as a whole; the standby is promoted, and everybody finds it where the other was."""
    rig.kill_database(group=True)
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(standby.dsn)
    await connection.execute("select pg_promote()")
    await connection.close()
    old, rig.server = rig.server, standby
    rig.proxy.move(socket_of(standby))
    old.stop()
    shutil.rmtree(old._root / "postgres", ignore_errors=True)


def _copy(source: str, target: str) -> None:
    """A file that goes away while it is copied was not needed."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        return


def _ignored(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in {*_EMPTY, "postmaster.pid", "postmaster.opts"}]
