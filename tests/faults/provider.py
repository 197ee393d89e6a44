"""A provider that remembers: each call is written down and synced before it is answered.

It plays two vendors. `POST /emails` is Resend's: a second call with the same `Idempotency-Key` is
never a second mail. `POST /sms/json` is Vonage's: a second call is a second text. What it does with
a call is drawn by lot; a mood changes the lots.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

LOTS = {
    "well": {"take": 1.0},
    "moody": {
        "take": 0.80,
        "slow": 0.05,
        "busy": 0.05,
        "take, hang up": 0.03,
        "take, say 500": 0.02,
        "take, say nothing": 0.02,
        "hang up": 0.03,
    },
    "ill": {"busy": 0.5, "hang up": 0.5},
}
"""By mood, how likely each behaviour is."""

_SLOW_SECONDS = 0.3
_SILENT_SECONDS = 5.0


@dataclass(frozen=True)
class Taken:
    """What reached a person: our key, whom, what, and when, by this machine's clock."""

    key: str
    to: str
    text: str
    at: float
    keyed: bool


class RecordingProvider:
    """Listens on loopback; `taken` is all that reached anybody, in order."""

    def __init__(self, log: Path, chance: random.Random) -> None:
        self.mood = "well"
        self.taken: list[Taken] = []
        self.calls = 0
        self._log = log.open("ab", buffering=0)
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._known: set[str] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._points: list[tuple[bool, Callable[[int], None]]] = []

    def at(self, act: Callable[[int], None], *, is_after: bool) -> None:
        """Once: something happens to the next caller, before its message is taken or after it."""
        self._points.append((is_after, act))

    def disarm(self) -> None:
        """Nothing more is waited for."""
        self._points.clear()

    async def start(self) -> str:
        """The base_url for a provider's settings."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Hang up."""
        assert self._server is not None
        self._server.close()
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        self._log.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = asyncio.create_task(self._serve(reader, writer))
        self._callers.add(caller)
        caller.add_done_callback(lambda _: writer.transport.abort())
        caller.add_done_callback(self._callers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
                }
                body = await self._body(reader, headers)
                port = int(writer.get_extra_info("peername")[1])
                self._reach(port, is_after=False)
                answer = await self._act(head[0], headers, body)
                self._reach(port, is_after=True)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()

    def _reach(self, port: int, *, is_after: bool) -> None:
        for point in [each for each in self._points if each[0] is is_after][:1]:
            self._points.remove(point)
            point[1](port)

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body

    async def _act(self, line: str, headers: dict[str, str], body: bytes) -> bytes | None:
        """None: hang up."""
        self.calls += 1
        lots = LOTS[self.mood]
        act = self._chance.choices(list(lots), list(lots.values()))[0]
        if act == "hang up":
            return None
        if act == "busy":
            return _said(429, {"name": "rate_limit_exceeded"}, "Retry-After: 1\r\n")
        if act == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        taken = _mail(headers, body) if "/emails" in line else _text(body)
        self._keep(taken)
        if act == "take, say nothing":
            await asyncio.sleep(_SILENT_SECONDS)
        if act in {"take, hang up", "take, say nothing"}:
            return None
        return _said(500, {}) if act == "take, say 500" else _thanks(taken)

    def _keep(self, taken: Taken) -> None:
        if taken.keyed and taken.key in self._known:
            return
        self._known.add(taken.key)
        self.taken.append(taken)
        self._log.write(msgspec.json.encode(taken) + b"\n")
        os.fsync(self._log.fileno())


def _mail(headers: dict[str, str], body: bytes) -> Taken:
    mail: dict[str, Any] = msgspec.json.decode(body)
    return Taken(headers["idempotency-key"], mail["to"][0], mail["text"], time.time(), keyed=True)


def _text(body: bytes) -> Taken:
    form = parse_qs(body.decode())
    return Taken(form["client-ref"][0], f"+{form['to'][0]}", form["text"][0], time.time(), keyed=False)


def _thanks(taken: Taken) -> bytes:
    if taken.keyed:
        return _said(200, {"id": f"mail-{taken.key}"})
    return _said(200, {"messages": [{"status": "0", "message-id": f"text-{taken.key}"}]})


def _said(status: int, members: object, more: str = "") -> bytes:
    body = msgspec.json.encode(members)
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body
