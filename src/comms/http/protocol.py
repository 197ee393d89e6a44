"""HTTP as uvicorn speaks it, with an end to its patience: a head that never ends it would keep, all of it.

What is no HTTP is refused in our own shape, too.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes of anything that is not the body of a request: its head, and what stands between pieces of a body."""

KEEP_ALIVE_SECONDS = 75
"""Longer than the minute after which load balancers let go of an idle connection."""

_NO_HTTP = "This is no request in HTTP/1.1; send one."
_TOO_LARGE = f"The head of the request may have {LARGEST_HEAD // 1024} KiB at most."


class Protocol(HttpToolsProtocol):
    """One connection, closed where nothing whole comes on it for so long. Bodies have limits of their own."""

    head_seconds = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It has begun."""
        super().connection_made(transport)
        self._unread = 0
        self._wait(self.head_seconds)

    def data_received(self, data: bytes) -> None:
        """What is read resets the count; what is only kept adds to it."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._unread = 0
        self._timer.cancel()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which who reads it bounds."""
        self._unread = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Another request may follow."""
        self._timer.cancel()
        self._wait(KEEP_ALIVE_SECONDS + self.head_seconds)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        """Unless somebody is being served."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's words; ours are the same for all
        """Say that it is no HTTP."""
        self._refuse(_NO_HTTP)

    def _refuse(self, why: str) -> None:
        """400, and hang up: where the next request begins nobody knows."""
        body = msgspec.json.encode({"error": "bad_request", "message": why})
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
        }
        lines = (f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", body]))
        self.transport.close()
