"""Builds everything once and hands it over; nobody imports this but the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from comms.actions import events, health, inbox
from comms.actions.acceptor import Acceptor
from comms.actions.house import House
from comms.actions.introspection import Client, Introspection
from comms.actions.setup import Setup
from comms.clock import Clock
from comms.embedded_postgres import CannotStart, EmbeddedPostgres, running_dsn
from comms.gather import Gather
from comms.privacy.epochs import EpochKeys
from comms.privacy.keyring import MasterKey, MasterKeyWrong, make_key_file
from comms.providers.http import Http
from comms.providers.kind import Tools
from comms.providers.outward import Outward
from comms.providers.webhooks import Webhooks
from comms.settings import BadSetting, Settings
from comms.store import cluster, keys
from comms.store import setup as rows
from comms.store.database import connect, connect_once
from comms.store.migrate import migrate
from comms.store.statements import sql
from comms.traces import UNTRACED, Traces

_TOGETHER = 100


class Found(NamedTuple):
    """Where the database listens; `server` is the embedded one where this process supervises it."""

    dsn: str
    server: EmbeddedPostgres | None = None


@contextmanager
def database(settings: Settings, *, share: bool = True) -> Iterator[Found]:
    """The database named, the one that runs here (with `share`), or one started for the time being."""
    address = settings.database_url or (running_dsn(settings.data_dir) if share else None)
    if address:
        yield Found(address)
        return
    server = EmbeddedPostgres(settings.data_dir)
    server.start()
    try:
        yield Found(server.dsn, server)
    finally:
        server.stop()


async def bring_up_to_date(dsn: str) -> list[str]:
    """Apply the migrations that are missing; their names."""
    connection = await connect_once(dsn)
    try:
        return await migrate(connection)
    finally:
        await connection.close()


async def spread_out(dsn: str) -> tuple[list[str], list[str]]:
    """As `bring_up_to_date` on a distributed PostgreSQL; and the tables that were not spread yet."""
    connection = await connect_once(dsn)
    try:
        await cluster.check(connection)
        return await migrate(connection), await cluster.spread(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def house(
    dsn: str, settings: Settings, master: MasterKey, clock: Clock, traces: Traces = UNTRACED
) -> AsyncIterator[House]:
    """What every action is handed, on open pools; refused where the master key is not the database's."""
    database = await connect(dsn)
    outward = Outward(local=settings.events_to_local_addresses)
    try:
        epochs = EpochKeys(master, _epoch_keys_dir(settings))
        await _check_keys(dsn, master, epochs, clock)
        async with Http() as http:
            setup, acceptor = Setup(database, master, clock, epochs), Acceptor(database, clock)
            platform, hooks = _platform(settings, http, clock), Webhooks(http)
            yield House(
                database,
                setup,
                acceptor,
                clock,
                settings,
                hooks,
                traces=traces,
                outward=outward,
                platform=platform,
            )
    finally:
        await traces.close()
        await outward.close()
        await database.close()


async def examine(dsn: str, settings: Settings, master: MasterKey) -> list[health.Finding]:
    """What there is to say about this installation."""
    async with house(dsn, settings, master, Clock()) as built:
        await built.setup.refresh()
        return await health.examine(built)


@asynccontextmanager
async def tools(built: House) -> AsyncIterator[Tools]:
    """What providers may use, for as long as their connections are open."""
    async with Http() as http:
        yield tools_on(built, http)


def tools_on(built: House, http: Http) -> Tools:
    """What providers may use of the house, on these connections."""
    return Tools(
        put_in_inbox=Gather(partial(inbox.put, built), _TOGETHER).submit,
        keep_in_sandbox=Gather(partial(inbox.keep, built), _TOGETHER).submit,
        hear=partial(events.hear, built),
        sleep=asyncio.sleep,
        now=built.clock.now,
        http=http,
    )


def master_key(settings: Settings) -> MasterKey:
    """The key that was set; beside an embedded database one is made at the first start."""
    if settings.master_key:
        return MasterKey(settings.master_key)
    path = settings.master_key_file
    if path is None:
        if settings.database_url:
            raise MasterKeyWrong(
                "Set COMMS_MASTER_KEY or COMMS_MASTER_KEY_FILE: openssl rand -base64 32 makes one."
            )
        path = settings.data_dir / "master.key"
        if (settings.data_dir / "postgres").exists() and not path.exists():
            raise MasterKeyWrong(f"{path} is gone: restore it; no other key opens this database.")
        if _make_key(path):
            structlog.get_logger().info(
                "master_key_made", path=str(path), advice="keep a copy: without it nothing opens"
            )
    try:
        return MasterKey(path.read_text())
    except OSError as error:
        raise MasterKeyWrong(f"The master key's file can't be read: {error.strerror}.") from None


def _platform(settings: Settings, http: Http, clock: Clock) -> Introspection | None:
    """Who knows the tokens that are not ours, if anybody does."""
    if settings.introspection_url is None:
        return None
    secret = settings.introspection_client_secret
    if secret is None and (path := settings.introspection_client_secret_file):
        try:
            secret = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise BadSetting("COMMS_INTROSPECTION_CLIENT_SECRET_FILE can't be read as text.") from None
    client = Client(settings.introspection_url, settings.introspection_client_id or "", secret or "")
    return Introspection(http, client, clock)


def _make_key(path: Path) -> bool:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_key_file(path)
    except OSError as error:
        raise CannotStart(f"{path.parent} can't be a data directory: {error.strerror}.") from None


def _epoch_keys_dir(settings: Settings) -> Path | None:
    """Beside an embedded database one is made; where several machines may be, it must be said."""
    if settings.epoch_keys_dir is None and settings.database_url is None:
        return settings.data_dir / "epochs"
    return settings.epoch_keys_dir


async def _check_keys(dsn: str, master: MasterKey, epochs: EpochKeys, clock: Clock) -> None:
    """Are the keys those that the database was sealed with? The first start makes the first epoch's."""
    connection = await connect_once(dsn)
    try:
        await connection.execute(sql("setup", "keep_proof"), master.proof())
        row = await rows.one(connection, "proof")
        assert row is not None  # noqa: S101 - the installation's one row
        master.check(row["proof"])
        newest = await keys.newest(connection)
        if newest is None and epochs.directory is not None:
            epochs.make(1)
            async with connection.transaction():
                await keys.add_epoch(connection, 1, epochs.proof(1), clock.now())
                await rows.move_epoch(connection)
            newest = await keys.newest(connection)
        if newest is not None:
            epochs.check(newest["epoch"], newest["proof"])
    finally:
        await connection.close()
