"""The whole service in processes of its own: two APIs, three workers, PostgreSQL behind a proxy."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
import socket
from collections import Counter
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
APIS = 2
OFF = """
import os
from datetime import timedelta

from comms.clock import Clock

off, now = timedelta(seconds=float(os.environ["CLOCK_IS_OFF"])), Clock.now
Clock.now = lambda self: now(self) + off
"""
"""What a process of ours runs first (`sitecustomize`) on a machine whose clock is wrong: no faketime is needed."""

_OPERATOR = Caller("operator", "*", frozenset(["admin:comms"]), UUID(int=1))


class Rig:
    """What a fault may lay hands on."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.server = EmbeddedPostgres(folder / "data")
        self.provider = RecordingProvider(folder / "taken.log", chance)
        self.proxy: Proxy
        self.apis: list[Service] = []
        self.workers: list[Service] = []
        self.token = ""
        self.folder = folder
        self.points: Counter[str] = Counter()
        """Where somebody died or was stopped, and how often."""
        self.servers = 1
        self._key = base64.b64encode(chance.randbytes(32)).decode()
        self._ports = [_free_port() for _ in range(APIS)]
        self._variables: dict[str, str] = {}

    @property
    def addresses(self) -> list[str]:
        """Where the APIs listen, also after they died."""
        return [f"127.0.0.1:{port}" for port in self._ports]

    @property
    def epochs(self) -> Path:
        """Where the keys are that wrap persons' secrets."""
        return self.folder / "epochs"

    @property
    def data(self) -> Path:
        """The data directory of the server that is the primary now."""
        return self.server._root

    @property
    def variables(self) -> dict[str, str]:
        """What a command needs to find it all."""
        return dict(self._variables)

    async def start(self) -> None:
        """Everything, set up and ready."""
        self.server.start()
        place = urlsplit(self.server.dsn)
        self.proxy = Proxy(socket_of(self.server))
        port, base_url = await self.proxy.start(), await self.provider.start()
        user = parse_qs(place.query).get("user", ["postgres"])[0]
        self._variables = {
            "COMMS_DATABASE_URL": f"postgresql://{user}@127.0.0.1:{port}{place.path}?sslmode=disable",
            "COMMS_MASTER_KEY": self._key,
            "COMMS_EPOCH_KEYS_DIR": str(self.epochs),
            "COMMS_LEASE_SECONDS": str(LEASE),
        }
        await wiring.bring_up_to_date(self.server.dsn)
        settings = Settings(epoch_keys_dir=self.epochs)
        async with wiring.house(self.server.dsn, settings, MasterKey(self._key), Clock()) as house:
            self.token = await _set_up(house, base_url)
        (self.folder / "off").mkdir()
        (self.folder / "off" / "sitecustomize.py").write_text(OFF)
        self.apis = list(await asyncio.gather(*(self.start_api(n) for n in range(APIS))))
        self.workers = list(await asyncio.gather(*(self.start_worker() for _ in range(WORKERS))))

    async def stop(self) -> None:
        """Nothing stays."""
        for service in (*self.apis, *self.workers):
            service.end()
        await self.proxy.stop()
        await self.provider.stop()
        self.server.stop()

    async def start_api(self, n: int, **variables: str) -> Service:
        """On its port."""
        words = ("api", "--port", str(self._ports[n]))
        service = Service(self.folder, *words, **(self._variables | variables))
        await asyncio.to_thread(service.await_words, "comms listens on ")
        return service

    async def start_worker(self, **variables: str) -> Service:
        """One more."""
        service = Service(self.folder, "worker", **(self._variables | variables))
        await asyncio.to_thread(service.await_words, "comms worker runs\n")
        return service

    def off(self, seconds: float) -> dict[str, str]:
        """Variables of a process on a machine whose clock is so far ahead."""
        paths = [str(self.folder / "off"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(paths), "CLOCK_IS_OFF": str(seconds)}

    def whose(self, port: int) -> Service | None:
        """The process whose connection comes from this port."""
        sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
        return next(
            (each for each in (*self.workers, *self.apis) if sockets & _open_files(each.process.pid)), None
        )

    async def replace_the_dead(self) -> None:
        """Whoever has ended is started again."""
        self.workers = [await self.start_worker() if _has_ended(each) else each for each in self.workers]
        self.apis = [
            await self.start_api(n) if _has_ended(each) else each for n, each in enumerate(self.apis)
        ]

    def kill_database(self, *, group: bool) -> None:
        """The postmaster alone, or every process of it."""
        found = family(postmaster(self.data)) if group else [postmaster(self.data)]
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


def socket_of(server: EmbeddedPostgres) -> Path:
    """Where it listens."""
    return Path(parse_qs(urlsplit(server.dsn).query)["host"][0]) / ".s.PGSQL.5432"


def _has_ended(service: Service) -> bool:
    return service.process.poll() is not None


def _inodes(port: int) -> set[str]:
    """The sockets with this local port, as /proc has them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if int(row[1].partition(":")[2], 16) == port}


def _open_files(pid: int) -> set[str]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(str(each.readlink()))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
