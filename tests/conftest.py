"""What every test may ask for: a real PostgreSQL, migrated once a run, emptied after each test."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from comms.actions.acceptor import Acceptor
from comms.actions.brands import put_brand, put_provider
from comms.actions.house import House
from comms.actions.setup import Setup
from comms.actions.templates import NewTemplate, add_version, create
from comms.domain.brand import BrandSettings, EmailSender, Routes, Senders, SmsSender
from comms.domain.caller import Caller
from comms.domain.schedule import DEFAULT_MAX_LATE
from comms.embedded_postgres import EmbeddedPostgres
from comms.privacy.keyring import MasterKey
from comms.settings import Settings
from comms.store.database import Database, connect, connect_once
from comms.store.migrate import migrate
from comms.testing import FakeClock
from tests.storage import empty

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

LONGEST = (
    "test_schemathesis",
    "test_oldest_postgres",
    "test_small_round",
    "test_docs",
    "test_keys",
    "test_batch",
)
"""Files that take longest for their few tests: begun last, they would keep one process busy and the others waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_collection_finish() -> None:
    """What was imported and collected stays, as in the service: to look through it again and again takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database; its server ends with the run."""
    other = os.environ.get("COMMS_TEST_POSTGRES")
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data", Path(other) if other else None)
    server.start()
    asyncio.run(_migrate(server.dsn))
    yield server.dsn
    server.stop()


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """Pools on an empty schema."""
    opened = await connect(postgres)
    yield opened
    await empty(opened)
    await opened.close()


async def _migrate(dsn: str) -> None:
    connection = await connect_once(dsn)
    await migrate(connection)
    await connection.close()


@pytest.fixture
def source() -> Path:
    """The product's own code, for tests about it."""
    return Path(__file__).parent.parent / "src" / "comms"


@pytest.fixture
def clock() -> FakeClock:
    """Noon of a day in the future; moved by hand."""
    return FakeClock()


@pytest.fixture
async def house(database: Database, clock: FakeClock) -> House:
    """What actions are handed, on the fake clock."""
    master = MasterKey(base64.b64encode(b"k" * 32).decode())
    return House(database, Setup(database, master, clock), Acceptor(database, clock), clock, Settings())


@pytest.fixture
async def loop_health(house: House) -> Caller:
    """A brand with a sandbox a channel, templates and a token's holder."""
    caller = Caller("tester", "*", frozenset(["admin:comms"]), UUID(int=7))
    await put_provider(house, caller, "sand", "sandbox", {}, {}, baa=False, limits={}, brands=None)
    await put_provider(house, caller, "box", "inbox", {}, {}, baa=True, limits={}, brands=None)
    routes = Routes(email=["sand"], sms=["sand"], push=["sand"], in_app=["box"])
    senders = Senders(EmailSender("care@loop.test", "Loop"), SmsSender("+15555550100"))
    await put_brand(house, caller, "loop", BrandSettings(name="Loop", routes=routes, senders=senders))
    for channel in ("email", "sms", "push", "in_app"):
        new = NewTemplate("loop", "visit", channel, None, "transactional", DEFAULT_MAX_LATE, "prefer_silence")
        template = await create(house, caller, new)
        version = {"subject": "Your visit", "body": "Hi {{ name }}"}
        await add_version(house, caller, UUID(template["id"]), version, draft=False)
    return caller
