"""A request whose answer does not end: read event by event, as a browser does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message


class Event(NamedTuple):
    """One event; `id` is empty where it has none."""

    name: str
    data: Any
    id: str


class Listening:
    """What has come, and what comes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.gone = asyncio.Event()
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._rest = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.body += message["body"]
        self._came.put_nowait(message["body"])
        if not message.get("more_body"):
            self._came.put_nowait(None)

    async def receive(self) -> Message:
        if self.gone.is_set():
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def next(self) -> Event | None:
        """The next event but heartbeats; None at the end. Patience has its limit."""
        async with asyncio.timeout(10):
            while True:
                if b"\n\n" not in self._rest:
                    piece = await self._came.get()
                    if piece is None:
                        return None
                    self._rest += piece
                    continue
                text, _, self._rest = self._rest.partition(b"\n\n")
                if not text.startswith(b":"):
                    return _event(text.decode())

    async def until(self, words: bytes) -> None:
        """Until these have been said."""
        async with asyncio.timeout(10):
            while words not in self.body:
                await self._came.get()

    async def all_of(self, count: int) -> list[Event | None]:
        return [await self.next() for _ in range(count)]


def _event(text: str) -> Event:
    fields = dict(line.split(": ", 1) for line in text.splitlines())
    return Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))


@asynccontextmanager
async def listening(
    application: ASGIApp, token: str, last: str = "", **query: str
) -> AsyncIterator[Listening]:
    """An open stream of a person's inbox."""
    headers = {"authorization": f"Bearer {token}"} | ({"last-event-id": last} if last else {})
    scope = {
        "type": "http", "method": "GET", "path": "/v1/inbox/stream", "query_string": urlencode(query).encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1), "server": ("comms.test", 80), "scheme": "http", "root_path": "",
    }  # fmt: skip
    listener = Listening()
    task = asyncio.ensure_future(application(scope, listener.receive, listener.send))
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])
