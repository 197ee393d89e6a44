"""Somebody who subscribed: notes what is told, and answers as each test wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from standardwebhooks import Webhook

from tests.providers.vendor_server import Asked, Said


class Receiver:
    """`answer` says what becomes of a request; `asked` is every request that came whole."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Said] = lambda _asked: Said(200)
        self.held = asyncio.Event()
        self.held.set()
        self.was_asked = asyncio.Event()
        self.at_a_time = 0
        self.most_at_a_time = 0

    @property
    def told(self) -> list[dict[str, Any]]:
        return [each.json for each in self.asked]

    @property
    def types(self) -> list[str]:
        return [str(each["type"]) for each in self.told]

    @property
    def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.asked]

    def verified(self, secret: str) -> list[Any]:
        """What the standard's own library makes of all that came."""
        return [Webhook(secret).verify(each.body, each.headers) for each in self.asked]

    def forget(self) -> None:
        self.asked.clear()
        self.was_asked.clear()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), _closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append(Asked(head[0], headers, body))
                self.was_asked.set()
                self.at_a_time += 1
                self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
                await self.held.wait()
                self.at_a_time -= 1
                writer.write(self.answer(self.asked[-1]).on_the_wire())
                await writer.drain()


@contextlib.contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver, playing = Receiver(), set[asyncio.Task[None]]()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        playing.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await receiver.play(reader, writer)

    async with await asyncio.start_server(play, "127.0.0.1", 0) as listener:
        receiver.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/hooks"
        yield receiver
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
