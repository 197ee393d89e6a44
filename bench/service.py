"""The service that is measured: a database of its own, and the API or a worker as a process beside it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop

from bench.messages import BRAND, MANY_PERSONS, PROVIDER, TEMPLATE, TEXT, body
from comms import telemetry, wiring
from comms.actions import acceptance, brands, templates, tokens
from comms.actions.house import House
from comms.clock import Clock
from comms.domain.brand import BrandLimits, BrandSettings, Cap, QuietHours, Routes
from comms.domain.caller import Caller
from comms.domain.schedule import DEFAULT_MAX_LATE
from comms.privacy.keyring import MasterKey
from comms.settings import Settings
from comms.store.database import Connection

_CALLER = Caller("bench", "*", frozenset(["admin:comms"]), uuid4())
_AT_ONCE = 256
_TABLES = "dedup, message, queue, delivery, ledger, audit_link, sandbox_item"


@dataclass(frozen=True, slots=True)
class Service:
    """One installation in a directory of its own. `token` may schedule and read."""

    settings: Settings
    key: MasterKey
    dsn: str
    token: str

    @contextmanager
    def process(
        self, module: str, *words: str, **variables: str
    ) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """`python -m module words`, from the first line that it says, which is answered too, to its end."""
        command = [sys.executable, "-m", module, *words]
        folder = self.settings.data_dir
        with subprocess.Popen(
            command, cwd=folder, env=_environment(folder) | variables, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline().strip()
                assert said, f"{module} said nothing"
                yield process, said
            finally:
                process.terminate()

    @asynccontextmanager
    async def emptied(self, *, persons: bool = True) -> AsyncIterator[Connection]:
        """A bare connection to a database without messages: every run begins with the same tables.

        Without `persons` their keys stay, as the service remembers them.
        """
        connection = await asyncpg.connect(self.dsn)
        try:
            tables = f"{_TABLES}, person_key" if persons else _TABLES
            await connection.execute(f"truncate {tables} restart identity")
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def sending_by(self, address: str, concurrency: int) -> AsyncIterator[None]:
        """Texts go to the vendor there, so many at a time, and to the sandbox again afterwards."""
        async with wiring.house(self.dsn, self.settings, self.key, Clock()) as house:
            settings = {"account_sid": "AC" + 32 * "0", "from": "+15555550100", "base_url": address}
            await brands.put_provider(
                house, _CALLER, "vendor", "twilio", settings, {"auth_token": "bench"},
                baa=False, limits={"concurrency": concurrency}, brands=None,
            )  # fmt: skip
            await _route(house, "vendor")
            yield
            await brands.put_provider(
                house, _CALLER, "vendor", "twilio", settings, {}, baa=False, limits={}, brands=None
            )
            await _route(house, PROVIDER)

    @asynccontextmanager
    async def ruled(self, quiet_hours: QuietHours, caps: list[Cap]) -> AsyncIterator[None]:
        """The brand has those rules, and none afterwards."""
        async with wiring.house(self.dsn, self.settings, self.key, Clock()) as house:
            await _route(house, PROVIDER, quiet_hours=quiet_hours, limits=BrandLimits(caps=caps))
            yield
            await _route(house, PROVIDER)

    async def schedule(
        self, instants: Iterable[datetime], persons: int = MANY_PERSONS
    ) -> dict[UUID, datetime]:
        """Accept a message for each instant, to one of so many persons; when each is due."""
        due: dict[UUID, datetime] = {}
        asked = iter(instants)
        async with wiring.house(self.dsn, self.settings, self.key, Clock()) as house:

            async def caller() -> None:
                for instant in asked:
                    request = acceptance.Request(**body(instant, persons))
                    accepted = await acceptance.schedule(house, _CALLER, request)
                    due[UUID(accepted.message["id"])] = instant

            await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
        return due


@contextmanager
def service() -> Iterator[Service]:
    """A new installation, gone afterwards. Its commits are as durable as PostgreSQL makes them."""
    telemetry.set_up("warning")
    with tempfile.TemporaryDirectory(prefix="comms-bench-") as folder:
        settings = Settings(data_dir=Path(folder))
        key = wiring.master_key(settings)
        with wiring.database(settings) as found:
            token = uvloop.run(_set_up(found.dsn, settings, key))
            yield Service(settings, key, found.dsn, token)


async def _set_up(dsn: str, settings: Settings, key: MasterKey) -> str:
    await wiring.bring_up_to_date(dsn)
    async with wiring.house(dsn, settings, key, Clock()) as house:
        await brands.put_provider(
            house, _CALLER, PROVIDER, "sandbox", {}, {}, baa=False, limits={}, brands=None
        )
        await _route(house, PROVIDER)
        await _publish(house)
        return await tokens.create(
            house, _CALLER, BRAND, ["write:messages", "read:messages"], None, None, None
        )


async def _route(house: House, provider_id: str, **rules: Any) -> None:
    settled = BrandSettings(name="Bench", routes=Routes(sms=[provider_id]), **rules)
    await brands.put_brand(house, _CALLER, BRAND, settled)


async def _publish(house: House) -> None:
    new = templates.NewTemplate(
        BRAND, TEMPLATE, "sms", None, "transactional", DEFAULT_MAX_LATE, "prefer_silence"
    )
    made = await templates.create(house, _CALLER, new)
    await templates.add_version(house, _CALLER, UUID(made["id"]), {"body": TEXT}, draft=False)


def _environment(folder: Path) -> dict[str, str]:
    """The installation's settings and none of this machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMMS_")}
    ours = {"COMMS_DATA_DIR": str(folder), "COMMS_PORT": "0", "COMMS_LOG_LEVEL": "warning"}
    return kept | ours | {"PYTHONPATH": str(Path(__file__).parent.parent)}
