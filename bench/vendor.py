"""A vendor of texts on this machine, which takes each message and answers 50 ms later.

    python -m bench.vendor

Prints its address, then answers until SIGTERM. It shares the machine with what is measured, so it reads
of HTTP only where a request ends (RFC 9112, section 6.2), and answers on time.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
from typing import cast

import uvloop

SECONDS = 0.05

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_numbers = itertools.count(1)


class _Vendor(asyncio.Protocol):
    """One connection, one request after the other."""

    def __init__(self) -> None:
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody wants something."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A whole request is answered after its time."""
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and length and len(body) >= int(length[1]):
            self._read = b""
            asyncio.get_running_loop().call_later(SECONDS, self._answer)

    def _answer(self) -> None:
        body = b'{"sid":"SM%d"}' % next(_numbers)
        head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
            body
        )
        if self._transport:
            self._transport.write(head + body)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    async with await loop.create_server(_Vendor, "127.0.0.1", 0) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(_main())
