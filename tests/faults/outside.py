"""What may go wrong of the database and of the line to it, as F5 to F14 of the plan number it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import asyncpg

from tests.faults.faults import POINTS
from tests.faults.rig import Rig, socket_of
from tests.faults.standby import stand_by, take_over
from tests.test_embedded_postgres import postmaster

_STARTUP = b"\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00"
"""Protocol 3.0's first message (PostgreSQL's documentation, "Message Formats")."""

_FULL = """
create function disk_is_full() returns trigger language plpgsql as $$
  begin raise exception 'no space left on device' using errcode = 'disk_full'; end $$;
"""
_CLOCK = """
create schema skew;
create table skew.by (step interval not null);
insert into skew.by values ('0');
create function skew.statement_timestamp() returns timestamptz language sql stable security definer
  as 'select pg_catalog.statement_timestamp() + step from skew.by';
grant usage on schema skew to public;
alter database postgres set search_path = skew, pg_catalog, public;
"""
"""What our statements call for the time stands before PostgreSQL's own: the database's clock, set at will."""


async def database_dies(rig: Rig) -> None:
    """F5. kill -9: the postmaster, or all of it; then it is started again."""
    rig.kill_database(group=rig.chance.random() < 0.5)
    await asyncio.sleep(0.3)
    rig.server.restart()


async def database_is_restarted(rig: Rig) -> None:
    """F6. By hand: fast (SIGINT) or immediately (SIGQUIT)."""
    os.kill(postmaster(rig.data), rig.chance.choice([signal.SIGINT, signal.SIGQUIT]))
    await asyncio.sleep(0.3)
    rig.server.restart()


async def backends_die(rig: Rig) -> None:
    """F6. Every session of ours is ended by an administrator, five times."""
    for _ in range(5):
        connection = await rig.database()
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where pid <> pg_backend_pid() and usename is not null and application_name like 'comms%'"
        )
        await connection.close()
        await asyncio.sleep(0.2)


async def line_breaks(rig: Rig) -> None:
    """F7. All connections are reset, three times."""
    for _ in range(3):
        rig.proxy.cut()
        await asyncio.sleep(0.5)


async def line_is_dead(rig: Rig) -> None:
    """F7. Nothing passes, and nobody is told."""
    with rig.proxy.silence():
        await asyncio.sleep(rig.chance.uniform(0.5, 2.5))


async def line_is_slow(rig: Rig) -> None:
    """F7. A tenth of a second more for each message, or 20,000 bytes a second, in both directions."""
    rig.proxy.delay, rig.proxy.rate = rig.chance.choice([(0.1, 0.0), (0.0, 20_000.0)])
    await asyncio.sleep(2)
    rig.proxy.delay = rig.proxy.rate = 0.0


async def commits_are_not_heard_of(rig: Rig) -> None:
    """F8. It is committed, and the connection breaks before the answer."""
    for words in rig.chance.choices(list(POINTS.values()), k=8):
        rig.proxy.cut_after(words)
        await asyncio.sleep(0.25)
    rig.proxy.disarm()


async def database_is_read_only(rig: Rig) -> None:
    """F9. As a primary is that was demoted: every write is refused, in open sessions too; then it is one again."""
    connection = await rig.database()
    await connection.execute("set default_transaction_read_only = off")
    for value in ("on", "off"):
        await connection.execute(f"alter system set default_transaction_read_only = {value}")
        await connection.execute("select pg_reload_conf()")
        await asyncio.sleep(2.5 if value == "on" else 0)
    await connection.close()


async def standby_takes_over(rig: Rig) -> None:
    """F10. The primary dies for good; a synchronous standby is promoted in its place."""
    rig.servers += 1
    await take_over(rig, await stand_by(rig, rig.folder / f"data-{rig.servers}"))


async def slots_are_taken(rig: Rig) -> None:
    """F11. A stranger takes every connection that the server has left, and new ones are asked for."""
    opened, said = [], b"R"
    while said == b"R":  # until it is no longer "authentication", but an error
        reader, writer = await asyncio.open_unix_connection(str(socket_of(rig.server)))
        opened.append(writer)
        writer.write(_STARTUP)
        said = await reader.read(1)
    rig.proxy.cut()
    await asyncio.sleep(2)
    for writer in opened:
        writer.transport.abort()


async def disk_is_full(rig: Rig) -> None:
    """F12. Every statement that would write a table says what PostgreSQL says where its disk is full (53100)."""
    connection = await rig.database()
    await connection.execute(_FULL)
    for table in ("queue", "delivery", "dedup"):
        await connection.execute(
            f"create trigger no_space before insert or update or delete on {table} execute function disk_is_full()"
        )
    await asyncio.sleep(2)
    await _insist(connection, "drop function disk_is_full() cascade")
    await connection.close()


async def _insist(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> None:
    """What locks several tables may embrace a transaction of the service's; then one of the two is ended."""
    while True:
        with contextlib.suppress(asyncpg.DeadlockDetectedError):
            await connection.execute(statement)
            return


async def snapshot_is_held(rig: Rig) -> None:
    """F13. Somebody's long transaction keeps every dead row, and a slot that nobody reads the log."""
    connection = await rig.database()
    await connection.execute("select pg_create_physical_replication_slot('stuck', true)")
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await connection.fetchval("select count(*) from message")
    await asyncio.sleep(4)
    await transaction.rollback()
    await connection.execute("select pg_drop_replication_slot('stuck')")
    await connection.close()


async def database_s_clock_is_set(rig: Rig) -> None:
    """F14. Back by an hour, and right again after a while: two steps, in open sessions."""
    connection = await rig.database()
    await connection.execute(_CLOCK)
    await backends_die(rig)
    for step in ("-1 hour", "0"):
        await connection.execute("update skew.by set step = $1::text::interval", step)
        await asyncio.sleep(2)
    await connection.execute("alter database postgres reset search_path")
    await backends_die(rig)
    await connection.execute("drop schema skew cascade")
    await connection.close()
