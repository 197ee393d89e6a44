"""The load: clients in a process of their own, each asks again as soon as it was answered.

    python -m bench.load HOST PORT TOKEN CLIENTS SECONDS PERSONS

One keep-alive connection a client. Prints a Pace as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import httptools
import msgspec
import uvloop

from bench.figures import pace
from bench.messages import body, later

_PATIENCE = 15.0
"""Seconds for the last answers: a service that answers slower than that is broken."""


class Client(asyncio.Protocol):
    """One connection. `ended` is done once the answer after `until` is there."""

    def __init__(self, host: str, token: str, until: float, persons: int) -> None:
        self.latencies: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = (
            f"POST /v1/messages/schedule HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._until = until
        self._persons = persons
        self._asked_at = 0.0
        self._answer = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass
        self._ask()

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        self._answer.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The service never hangs up by itself here."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the service closed the connection"))

    def on_message_complete(self) -> None:
        """The parser has read a whole answer."""
        now = time.perf_counter()
        self.latencies.append(now - self._asked_at)
        if self._answer.get_status_code() != 201:
            self.ended.set_exception(ValueError(f"answered {self._answer.get_status_code()}"))
        elif now < self._until:
            self._ask()
        else:
            self.ended.set_result(None)

    def _ask(self) -> None:
        content = msgspec.json.encode(body(later(), self._persons))
        self._asked_at = time.perf_counter()
        self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(content), content))


async def _main(host: str, port: int, token: str, clients: int, seconds: float, persons: int) -> None:
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    connected = [
        await loop.create_connection(lambda: Client(host, token, began + seconds, persons), host, port)
        for _ in range(clients)
    ]
    async with asyncio.timeout(seconds + _PATIENCE):
        await asyncio.gather(*(client.ended for _, client in connected))
    latencies = [each for _, client in connected for each in client.latencies]
    print(msgspec.json.encode(pace(len(latencies), time.perf_counter() - began, latencies)).decode())


if __name__ == "__main__":
    host, port, token, clients, seconds, persons = sys.argv[1:]
    uvloop.run(_main(host, int(port), token, int(clients), float(seconds), int(persons)))
