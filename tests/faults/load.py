"""What callers do, and what they were told: the history that is judged."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

_PATIENCE = 6.0
_KEYS = 0.15
"""How often a key that was used before is used again, with the same content."""


_NAMES = ["schedule", "send", "get", "cancel", "move", "repin"]
_LIVELY = [48, 5, 15, 18, 10, 4]
_CROWDED = [8, 1, 35, 3, 33, 20]
"""How often each is done; where few messages are asked about by all, most of it is to them."""


@dataclass
class Heard:
    """One call: when it began and ended, and what was answered (status 0: nothing, and nobody knows)."""

    name: str
    key: str
    id: str | None
    began: float
    ended: float
    status: int
    body: dict[str, Any]
    replayed: bool = False
    wanted: str | None = None
    """The time that a move asked for."""
    says_when: bool = False
    """Was there a `Retry-After`?"""


@dataclass
class History:
    """Everything that was asked. `asked` is each key's request as it was first made."""

    heard: list[Heard] = field(default_factory=list)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


class Callers:
    """Clients that schedule, send, look, move and cancel, each one call after the other."""

    def __init__(
        self, addresses: list[str], token: str, chance: random.Random, name: str, hot: int = 40
    ) -> None:
        self.history = History()
        self._addresses = addresses
        self._hot = hot
        self._headers = {"Authorization": f"Bearer {token}"}
        self._chance = chance
        self._name = name
        self._number = 0

    async def run(self, seconds: float, clients: int) -> None:
        """Call for so long."""
        ends = time.monotonic() + seconds
        async with aiohttp.ClientSession(headers=self._headers) as session:
            await asyncio.gather(*(self._call_until(session, ends) for _ in range(clients)))

    async def finish(self, give_up: float) -> None:
        """Ask again what was never answered, then look at every message until none moves any more."""
        async with aiohttp.ClientSession(headers=self._headers) as session:
            for key in [key for key in self.history.asked if key not in self.history.ids]:
                await self._until_answered(session, key, give_up)
            for key, message_id in self.history.ids.items():
                await self._until_it_rests(session, key, message_id, give_up)

    async def _call_until(self, session: aiohttp.ClientSession, ends: float) -> None:
        while time.monotonic() < ends:
            name = self._chance.choices(_NAMES, _CROWDED if self._hot < len(_NAMES) else _LIVELY)[0]
            await getattr(self, f"_{name}")(session)
            await asyncio.sleep(self._chance.uniform(0, 0.02))

    async def _schedule(self, session: aiohttp.ClientSession) -> None:
        key = self._key()
        await self._ask(session, "schedule", key, "POST", "schedule", self.history.asked[key])

    async def _send(self, session: aiohttp.ClientSession) -> None:
        key = self._new_key()
        body = {name: value for name, value in self.history.asked[key].items() if name != "scheduled_at"}
        self.history.asked[key] = body
        await self._ask(session, "send", key, "POST", "send", body, {"Prefer": "wait=1"})

    async def _get(self, session: aiohttp.ClientSession) -> None:
        if known := self._known():
            await self._ask(session, "get", known[0], "GET", f"scheduled/{known[1]}")

    async def _cancel(self, session: aiohttp.ClientSession) -> None:
        if known := self._known():
            await self._ask(session, "cancel", known[0], "POST", f"scheduled/{known[1]}/cancel")

    async def _move(self, session: aiohttp.ClientSession) -> None:
        if known := self._known():
            body = {"scheduled_at": _instant(self._chance.uniform(0.1, 2))}
            await self._ask(session, "move", known[0], "PATCH", f"scheduled/{known[1]}", body)

    async def _repin(self, session: aiohttp.ClientSession) -> None:
        """A change that leaves the time as it is."""
        if known := self._known():
            body = {"template_version": "current"}
            await self._ask(session, "repin", known[0], "PATCH", f"scheduled/{known[1]}", body)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        name: str,
        key: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Heard:
        address = self._chance.choice(self._addresses)
        heard = Heard(name, key, None, time.time(), 0.0, 0, {}, wanted=(body or {}).get("scheduled_at"))
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                session.request(
                    method, f"http://{address}/v1/messages/{path}", json=body, headers=headers
                ) as answer,
            ):
                heard.body = await answer.json()
                heard.status = answer.status
                heard.replayed = "Idempotent-Replayed" in answer.headers
                heard.says_when = "Retry-After" in answer.headers
        except (aiohttp.ClientError, OSError, ValueError):
            pass  # nobody knows whether it took place
        heard.ended = time.time()
        heard.id = found = heard.body.get("id") or heard.body.get("message_id")
        self.history.heard.append(heard)
        if found:
            self.history.ids.setdefault(key, found)
        return heard

    async def _until_answered(self, session: aiohttp.ClientSession, key: str, give_up: float) -> None:
        """By the key, as a caller does that was told nothing: a `send` is found as a conflict."""
        body = self.history.asked[key]
        name = "schedule" if "scheduled_at" in body else "send"
        while time.monotonic() < give_up:
            heard = await self._ask(session, name, key, "POST", name, body)
            if heard.status in {200, 201, 422}:
                return
            if heard.status == 409:
                await self._find(session, key)
                return
            await asyncio.sleep(0.1)

    async def _find(self, session: aiohttp.ClientSession, key: str) -> None:
        body = {"brand_id": "loop", "dedup_key": key}
        url = f"http://{self._addresses[0]}/v1/messages/scheduled/search"
        async with session.post(url, json=body) as answer:
            found = (await answer.json())["data"]
        if found:
            self.history.ids.setdefault(key, found[0]["id"])

    async def _until_it_rests(
        self, session: aiohttp.ClientSession, key: str, message_id: str, give_up: float
    ) -> None:
        while True:
            heard = await self._ask(session, "get", key, "GET", f"scheduled/{message_id}")
            if heard.status == 200 and heard.body["status"] not in {"scheduled", "sending"}:
                return
            if time.monotonic() > give_up:
                return
            await asyncio.sleep(0.1)

    def _known(self) -> tuple[str, str] | None:
        """Mostly one of the newest: what is about to go is where the races are."""
        ids = list(self.history.ids.items())[-self._hot :]
        return self._chance.choice(ids) if ids else None

    def _key(self) -> str:
        used = [key for key, body in self.history.asked.items() if "scheduled_at" in body]
        return self._chance.choice(used[-40:]) if used and self._chance.random() < _KEYS else self._new_key()

    def _new_key(self) -> str:
        self._number += 1
        key, channel = f"{self._name}-{self._number}", self._chance.choice(["email", "sms"])
        to = (
            f"p{self._number}@example.org"
            if channel == "email"
            else f"+1555555{self._number % 9000 + 1000:04}"
        )
        self.history.asked[key] = {
            "channel": channel,
            "template_key": "visit",
            "recipient": to,
            "brand_id": "loop",
            "person_id": f"p{self._number}",
            "variables": {"name": key},
            "dedup_key": key,
            "scheduled_at": _instant(self._chance.uniform(-0.5, 3)),
        }
        return key


def _instant(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
