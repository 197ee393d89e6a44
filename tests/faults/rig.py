"""The whole service in processes of its own: an API, three workers, PostgreSQL behind a proxy."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg

from comms import wiring
from comms.actions import brands, templates, tokens
from comms.actions.house import House
from comms.clock import Clock
from comms.domain.brand import BrandSettings, EmailSender, Routes, Senders, SmsSender
from comms.domain.caller import Caller
from comms.embedded_postgres import EmbeddedPostgres
from comms.privacy.keyring import MasterKey
from comms.settings import Settings
from tests.cli.service import Service
from tests.faults.provider import RecordingProvider
from tests.faults.proxy import Proxy
from tests.test_embedded_postgres import family, postmaster

LEASE = 3.0
WORKERS = 3
_OPERATOR = Caller("operator", "*", frozenset(["admin:comms"]), UUID(int=1))


class Rig:
    """What a fault may lay hands on."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.server = EmbeddedPostgres(folder / "data")
        self.provider = RecordingProvider(folder / "taken.log", chance)
        self.proxy: Proxy
        self.api: Service
        self.workers: list[Service] = []
        self.token = ""
        self._folder = folder
        self._key = base64.b64encode(chance.randbytes(32)).decode()
        self._port = _free_port()
        self._variables: dict[str, str] = {}

    @property
    def address(self) -> str:
        """Where the API listens, also after it died."""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Everything, set up and ready."""
        self.server.start()
        place = urlsplit(self.server.dsn)
        folder = parse_qs(place.query)["host"][0]
        self.proxy = Proxy(Path(folder) / ".s.PGSQL.5432")
        port, base_url = await self.proxy.start(), await self.provider.start()
        user = parse_qs(place.query).get("user", ["postgres"])[0]
        self._variables = {
            "COMMS_DATABASE_URL": f"postgresql://{user}@127.0.0.1:{port}{place.path}?sslmode=disable",
            "COMMS_MASTER_KEY": self._key,
            "COMMS_EPOCH_KEYS_DIR": str(self._folder / "epochs"),
            "COMMS_LEASE_SECONDS": str(LEASE),
        }
        await wiring.bring_up_to_date(self.server.dsn)
        settings = Settings(epoch_keys_dir=self._folder / "epochs")
        async with wiring.house(self.server.dsn, settings, MasterKey(self._key), Clock()) as house:
            self.token = await _set_up(house, base_url)
        self.api = await self.start_api()
        self.workers = [await self.start_worker() for _ in range(WORKERS)]

    async def stop(self) -> None:
        """Nothing stays."""
        for service in (self.api, *self.workers):
            service.end()
        await self.proxy.stop()
        await self.provider.stop()
        self.server.stop()

    async def start_api(self) -> Service:
        """On its port."""
        service = Service(self._folder, "api", "--port", str(self._port), **self._variables)
        await asyncio.to_thread(service.await_words, "comms listens on ")
        return service

    async def start_worker(self) -> Service:
        """One more."""
        service = Service(self._folder, "worker", **self._variables)
        await asyncio.to_thread(service.await_words, "comms worker runs\n")
        return service

    def kill_database(self, *, group: bool) -> None:
        """The postmaster alone, or every process of it."""
        data = self._folder / "data"
        found = family(postmaster(data)) if group else [postmaster(data)]
        for pid in found:
            _kill(pid)

    async def database(self) -> asyncpg.Connection[asyncpg.Record]:
        """A stranger's connection, past the proxy."""
        return await asyncpg.connect(self.server.dsn)


@asynccontextmanager
async def rig(folder: Path, seed: int) -> AsyncIterator[Rig]:
    """From ready to gone."""
    made = Rig(folder, random.Random(seed))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def _set_up(house: House, base_url: str) -> str:
    mail, text = {"api_key": "re_key"}, {"api_key": "key", "api_secret": "secret"}
    where = {"base_url": base_url}
    shared = {"baa": False, "limits": {}, "brands": None}
    await brands.put_provider(house, _OPERATOR, "mail", "resend", where, dict(mail), **shared)  # type: ignore[arg-type]
    settings = {**where, "from": "Loop"}
    await brands.put_provider(house, _OPERATOR, "text", "vonage", settings, dict(text), **shared)  # type: ignore[arg-type]
    senders = Senders(EmailSender("care@loop.test"), SmsSender("Loop"))
    brand = BrandSettings(name="Loop", routes=Routes(email=["mail"], sms=["text"]), senders=senders)
    await brands.put_brand(house, _OPERATOR, "loop", brand)
    for channel in ("email", "sms"):
        new = templates.NewTemplate("loop", "visit", channel, None, "transactional", 60, "prefer_silence")
        template = await templates.create(house, _OPERATOR, new)
        version = (
            {"subject": "Your visit", "body": "Hi {{ name }}"}
            if channel == "email"
            else {"body": "Hi {{ name }}"}
        )
        await templates.add_version(house, _OPERATOR, UUID(template["id"]), version)
    return await tokens.create(house, _OPERATOR, "*", ["admin:comms"], "callers", None, None)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
