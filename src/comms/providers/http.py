"""HTTP to vendors: one pool of connections a process, and what a call that went wrong leaves behind.

The line that matters is drawn where a request may have begun to be written. Before it, nothing was
taken: TryLater or Misconfigured. After it, only the vendor's answer says what became of the message,
and without one it is Lost. aiohttp tells when a call has its connection; that is before the first
byte, so a doubt is sooner claimed than missed.

No retries, no redirects, no cookies, no proxy from the environment.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import msgspec

from comms.providers.base import Lost, Misconfigured, TryLater

LARGEST_ANSWER = 65_536
_CONNECTIONS = 256
_CONNECTIONS_A_HOST = 64
_IDLE_SECONDS = 15.0  # less than any vendor keeps one: a call on a closed connection would be a doubt


@dataclass(frozen=True, slots=True)
class Request:
    """A POST. Its headers hold a secret, its body a person: neither is shown."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor said. `members` is its JSON object; empty where none could be read whole."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    members: dict[str, Any] = field(default_factory=dict, repr=False)


class Http:
    """The connections of one process, shared by all accounts; opened by the first call."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def post(self, request: Request, seconds: float) -> Answer | TryLater | Misconfigured | Lost:
        """One call, `seconds` in all."""
        call = SimpleNamespace(has_connection=False)
        try:
            async with asyncio.timeout(seconds):
                return await self._post(request, call)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return Lost("no_answer") if call.has_connection else _not_called(error)

    async def _post(self, request: Request, call: SimpleNamespace) -> Answer:
        self._session = self._session or _open()
        async with self._session.post(
            request.url,
            data=io.BytesIO(request.body),  # in pieces: a large one at once would hold the loop up
            headers=request.headers,
            allow_redirects=False,
            trace_request_ctx=call,
        ) as response:
            return Answer(response.status, response.headers, await _members(response))


def _open() -> aiohttp.ClientSession:
    tls = ssl.create_default_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=_CONNECTIONS, limit_per_host=_CONNECTIONS_A_HOST, keepalive_timeout=_IDLE_SECONDS, ssl=tls
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the call's own counts
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "comms"},
        auto_decompress=False,  # an answer is as large as it is, not as large as it may become
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_trace()],
    )


def _trace() -> aiohttp.TraceConfig:
    async def has_connection(_session: object, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.has_connection = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(has_connection)
    trace.on_connection_reuseconn.append(has_connection)
    return trace


def _not_called(error: Exception) -> TryLater | Misconfigured:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Misconfigured("certificate_refused")
    if isinstance(error, ValueError):
        return Misconfigured("address_refused")
    return TryLater("connection")


async def _members(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The answer's JSON object. What is cut off, too large or something else is as good as none."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LARGEST_ANSWER:
                response.close()
                return {}
        found = msgspec.json.decode(body)
    except (aiohttp.ClientError, OSError, msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
