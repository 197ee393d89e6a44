"""A server that plays a vendor: it notes what it is asked, and answers, or misbehaves, as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl

import msgspec

PLAIN = {"Content-Type": "application/json", "Date": "Tue, 01 Jan 2030 12:00:00 GMT"}


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    members: object = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    def on_the_wire(self) -> bytes:
        body = self.raw if self.raw is not None else msgspec.json.encode(self.members)
        headers = {**PLAIN, "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Misdeed(Enum):
    """What a server does instead of answering."""

    HANGS_UP_AT_ONCE = "hangs up without reading a byte"
    HANGS_UP_AFTER = "hangs up when it has read the request"
    HANGS_UP_IN_THE_ANSWER = "hangs up in the middle of its answer"
    NEVER_ANSWERS = "reads the request and says nothing"
    TALKS_NONSENSE = "answers what is no HTTP"


@dataclass
class Asked:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])

    @property
    def form(self) -> dict[str, str]:
        pairs = parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


class VendorServer:
    """`script` is played once through; its last answer stays. `asked` is every request that came whole.

    What is asked for at an address of `aside` is answered as it says, and stands in `asked_aside`.
    """

    def __init__(self, *script: Said | Misdeed, aside: Mapping[str, Said] | None = None) -> None:
        self.script = list(script)
        self.aside = aside or {}
        self.asked_aside: list[Asked] = []
        self.asked: list[Asked] = []
        self.connections = 0
        self.was_asked = asyncio.Event()
        self.url = ""

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.script[0] is Misdeed.HANGS_UP_AT_ONCE and not self.aside:
            return False
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        asked = Asked(head[0], headers, await reader.readexactly(int(headers.get("content-length", 0))))
        if asked.path in self.aside:
            self.asked_aside.append(asked)
            writer.write(self.aside[asked.path].on_the_wire())
            await writer.drain()
            return True
        self.asked.append(asked)
        self.was_asked.set()
        now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(now, Said):
            writer.write(now.on_the_wire())
            await writer.drain()
            return True
        if now is Misdeed.HANGS_UP_IN_THE_ANSWER:
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"id": "half')
            await writer.drain()
        if now is Misdeed.TALKS_NONSENSE:
            writer.write(b"220 mail.example.org ESMTP\r\n")
        if now is Misdeed.NEVER_ANSWERS:
            await reader.read()
        return False


@contextlib.asynccontextmanager
async def vendor(
    *script: Said | Misdeed, tls: ssl.SSLContext | None = None, aside: Mapping[str, Said] | None = None
) -> AsyncIterator[VendorServer]:
    """The server, running; its `url` is what `base_url` is set to."""
    server = VendorServer(*script, aside=aside)
    playing: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        playing.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await server.play(reader, writer)

    async with await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls) as listener:
        port = listener.sockets[0].getsockname()[1]
        server.url = f"{'https' if tls else 'http'}://localhost:{port}"
        yield server
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
