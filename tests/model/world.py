"""The service that the machine drives: its public API, a worker, a clock, and providers that remember."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2 as httpx

from comms.actions import tokens
from comms.actions.acceptor import Acceptor
from comms.actions.house import House
from comms.actions.setup import Setup
from comms.cli.local import OPERATOR
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import _BEGINNING, Worker
from comms.http.app import application
from comms.privacy.keyring import MasterKey
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected, TryLater
from comms.providers.catalogue import KINDS
from comms.settings import Settings
from comms.store import workers
from comms.store.database import Database
from comms.testing import FakeClock
from tests.journeys.story import tools
from tests.model.reference import KEYED, TEMPLATES
from tests.storage import empty

BRAND = {
    "name": "Loop",
    "senders": {"email": {"address": "care@loop.test"}, "sms": {"number": "+15555550100"}},
    "routes": {channel: [channel] for channel in KEYED},
}


class Provider:
    """Does with every call what it is in the mood for; one with keys takes nothing twice."""

    def __init__(self, *, idempotent: bool) -> None:
        self.idempotent = idempotent
        self.mood = "take"
        self.called: list[tuple[str, str, str]] = []
        self.took: list[str] = []

    async def send(self, outgoing: Outgoing) -> Outcome:
        """As the mood is: `die` is a worker that ends in the middle of the call."""
        self.called.append(
            (outgoing.key, outgoing.recipient, (outgoing.content.text or outgoing.content.body).strip())
        )
        known = self.idempotent and outgoing.key in self.took
        if self.mood in {"take", "lost, taken", "die, taken"} and not known:
            self.took.append(outgoing.key)
        if self.mood.startswith("die"):
            raise asyncio.CancelledError
        if self.mood.startswith("lost"):
            return Lost("reset", of_message=True)
        if self.mood == "take" or known:
            return Accepted(outgoing.key)
        return Rejected("no") if self.mood == "reject" else TryLater("busy", of_message=True)

    async def close(self) -> None:
        """Nothing is held."""


class Said(NamedTuple):
    """An answer of the API."""

    status: int
    body: Any


class World:
    """One installation on an empty database."""

    def __init__(self, house: House, client: httpx.AsyncClient, providers: list[Provider]) -> None:
        self.house = house
        self.clock: FakeClock = house.clock  # type: ignore[assignment]
        self.worker = Worker(house, tools(house))
        self._client = client
        self._providers = providers

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Said:
        """One call."""
        answer = await self._client.request(method, path, json=body, params=query or None)
        return Said(answer.status_code, answer.json())

    async def send(self, body: dict[str, Any]) -> Said:
        """Send now, and wait for nothing."""
        headers = {"Prefer": "wait=0"}
        answer = await self._client.post("/v1/messages/send", json=body, headers=headers)
        return Said(answer.status_code, answer.json())

    async def batch(self, bodies: list[dict[str, Any]]) -> list[Said]:
        """The verdict of each line."""
        lines = b"".join(json.dumps(body).encode() + b"\n" for body in bodies)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = await self._client.post("/v1/messages/schedule/batch", content=lines, headers=headers)
        verdicts = [json.loads(line) for line in answer.content.splitlines()]
        return [Said(each["status"], each) for each in verdicts]

    async def work(self, mood: str) -> None:
        """One round of a worker that sees it through, or dies in its calls."""
        for provider in self._providers:
            provider.mood = mood
        if not mood.startswith("die"):
            self.worker._floor = _BEGINNING  # as every sweep does, and every look that finds nothing
            await self.worker.once()
            return
        victim = Worker(self.house, tools(self.house))
        with contextlib.suppress(asyncio.CancelledError):
            await victim.once()
        await asyncio.gather(*victim._in_flight.values(), return_exceptions=True)
        await self._is_gone(victim)

    async def claim(self) -> None:
        """A worker takes what is due and dies."""
        victim = Worker(self.house, tools(self.house))
        await victim._take(100)
        await self._is_gone(victim)

    async def _is_gone(self, victim: Worker) -> None:
        """Nobody waits for it any more: as if its lease were over, which goes by the database's clock."""
        await workers.leave(self.house.database.engine, victim.owner)

    async def sweep(self) -> None:
        """What workers do now and then."""
        await sweep(self.house)

    async def hold(self) -> Said:
        """The worker says that it knows, as it would while it runs."""
        holding = asyncio.create_task(self.ask("POST", "/v1/brands/loop/hold"))
        while not holding.done():
            await self.worker._report()
            await asyncio.sleep(0)
        return await holding

    def called(self) -> list[tuple[str, str, str]]:
        """All that providers were called for: the message's id, recipient, text."""
        calls = [call for provider in self._providers for call in provider.called]
        return sorted((key.rpartition("-")[0], recipient, text) for key, recipient, text in calls)

    def took(self, message_id: str) -> int:
        """How often it reached its recipient."""
        return sum(key.rpartition("-")[0] == message_id for each in self._providers for key in each.took)

    async def publish(self, channel: str, key: str, version: int) -> None:
        """One more version of a template."""
        path = f"/v1/messaging/templates/{self.templates[key, channel]}/versions"
        made = await self.ask("POST", path, {"subject": "Hi", "body": f"v{version} {{{{ name }}}}"})
        assert made.status == 201, made

    async def set_up(self) -> None:
        """Providers, a brand, templates with their first versions."""
        for channel in KEYED:
            put = await self.ask("PUT", f"/v1/providers/{channel}", {"kind": f"{channel}-kind"})
            assert put.status == 200, put
        assert (await self.ask("PUT", "/v1/brands/loop", BRAND)).status == 200
        self.templates: dict[tuple[str, str], str] = {}
        for channel in KEYED:
            for each in TEMPLATES.values():
                new = {
                    "brand_id": "loop",
                    "key": each.key,
                    "channel": channel,
                    "category": each.category,
                    "max_late": int(each.max_late / timedelta(seconds=1)),
                    "on_unknown": "prefer_duplicate" if each.twice else "prefer_silence",
                }
                made = await self.ask("POST", "/v1/messaging/templates", new)
                self.templates[each.key, channel] = made.body["id"]
                await self.publish(channel, each.key, 1)


@asynccontextmanager
async def world(
    database: Database, began: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)
) -> AsyncIterator[World]:
    """From set up to emptied."""
    clock = FakeClock(began)
    master = MasterKey(base64.b64encode(b"k" * 32).decode())
    house = House(database, Setup(database, master, clock), Acceptor(database, clock), clock, Settings())
    providers = [Provider(idempotent=keyed) for keyed in KEYED.values()]
    for channel, provider in zip(KEYED, providers, strict=True):
        KINDS[f"{channel}-kind"] = replace(
            KINDS["sandbox"],
            channels=frozenset([channel]),
            idempotent=provider.idempotent,
            build=lambda _settings, _secrets, _tools, made=provider: made,  # type: ignore[misc]
        )
    token = await tokens.create(house, OPERATOR, "*", ["admin:comms"], "everything", None, None)
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(application(house))
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://comms.test", headers=headers
        ) as client:
            made = World(house, client, providers)
            await made.set_up()
            yield made
    finally:
        for channel in KEYED:
            del KINDS[f"{channel}-kind"]
        await empty(database)
