"""HTTP/2 (RFC 9113), for a vendor that speaks nothing else: few connections, kept, many calls on each.

A connection that stood idle is asked for a sign of life before it is used, since a call on a dead one
could be neither taken back nor believed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from types import SimpleNamespace

from comms.providers.http2_connection import Connection, Headers, Response


class Http2:
    """The connections of one process: one for each host and `line`, which nobody else's calls share."""

    def __init__(self, tls: ssl.SSLContext, largest_answer: int) -> None:
        tls.set_alpn_protocols(["h2"])
        self._tls = tls
        self._largest_answer = largest_answer
        self._newest: dict[tuple[str, int, str], Connection] = {}
        self._opening: defaultdict[tuple[str, int, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._all: set[Connection] = set()

    async def post(
        self, host: str, port: int, line: str, headers: Headers, body: bytes, call: SimpleNamespace
    ) -> Response:
        """One call. `call.has_connection` says, whatever is raised, whether it may have been taken."""
        while True:
            connection = await self._connection(host, port, line)
            if await connection.has_room():
                return await connection.exchange(headers, body, call)

    def close(self) -> None:
        """End all connections, whatever is under way on them."""
        for connection in [*self._all]:
            connection.abort()

    async def _connection(self, host: str, port: int, line: str) -> Connection:
        key = (host, port, line)
        async with self._opening[key]:
            known = self._newest.get(key)
            if known and await known.is_alive():
                return known
            self._newest[key] = opened = await self._open(host, port)
            return opened

    async def _open(self, host: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._largest_answer, self._all), host, port, ssl=self._tls
        )
        try:
            await connection.settled()
        except BaseException:
            connection.abort()
            raise
        return connection
