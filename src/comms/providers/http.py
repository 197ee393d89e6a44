"""HTTP to vendors: the connections of a process, and what a call that went wrong leaves behind.

The line that matters is drawn where a request may have begun to be written. Before it, nothing was
taken: TryLater or Misconfigured. After it, only the vendor's answer says what became of the message,
and without one it is Lost. aiohttp tells when a call has its connection; that is before the first
byte, so a doubt is sooner claimed than missed.

No retries, no redirects, no cookies, no proxy from the environment. Where a stranger named the address
(a browser's push subscription), a call that would stay inside our network is not made: the address that
is called is the one that was looked at, so DNS has no time to change its mind.
"""

from __future__ import annotations

import asyncio
import io
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import ResolveResult

from comms.domain.outside import is_outside, may_lead_outside
from comms.providers.base import Lost, Misconfigured, Rejected, TryLater
from comms.providers.http2 import Http2
from comms.providers.tls import tls_context

LARGEST_ANSWER = 65_536
_ONE_PIECE = 65_536
"""Bytes of a body that are written at once: a larger one would hold the loop up, and goes in pieces."""

_CONNECTIONS = 256
_CONNECTIONS_A_HOST = 64
_IDLE_SECONDS = 15.0  # less than any vendor keeps one: a call on a closed connection would be a doubt
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "comms"}


_HOST = re.compile(r"https?://([A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Request:
    """A POST. Its headers hold a secret, its body a person: neither is shown.

    `outside`: a stranger named the address, so it must not lead into our network. `http2`: with https,
    speak HTTP/2, on a connection that only requests of the same name share.
    """

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    outside: bool = field(default=False, repr=False)
    http2: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor said. `members` is its JSON object; empty where none could be read whole.

    `body` is None where it was cut off or too large.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    members: dict[str, Any] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=b"", repr=False)


class Http:
    """The connections of one process, shared by all accounts; opened by the first call."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._http2: Http2 | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()
        if self._http2:
            self._http2.close()

    async def post(
        self, request: Request, seconds: float
    ) -> Answer | Rejected | TryLater | Misconfigured | Lost:
        """One call, `seconds` in all."""
        if request.outside and not _may_lead_outside(request.url):
            return Rejected("address_inside")
        call = SimpleNamespace(has_connection=False)
        try:
            async with asyncio.timeout(seconds):
                if request.http2 is not None and request.url.startswith("https:"):
                    return await self._post_http2(request, request.http2, call)
                return await self._post(request, call)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return Lost("no_answer") if call.has_connection else _not_called(error)

    async def get(self, url: str, seconds: float) -> Answer | None:
        """What stands at an address; None where nobody answers in time. For what can be asked twice."""
        context = SimpleNamespace(has_connection=False)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session(outside=False).get(
                    url, allow_redirects=False, trace_request_ctx=context
                ) as response,
            ):
                body = await _read(response)
                return Answer(response.status, response.headers, members_of(body), body)
        except (aiohttp.ClientError, OSError, ValueError):
            return None

    async def _post(self, request: Request, call: SimpleNamespace) -> Answer:
        async with self._session(outside=request.outside).post(
            request.url,
            data=request.body if len(request.body) <= _ONE_PIECE else io.BytesIO(request.body),
            headers=request.headers,
            allow_redirects=False,
            trace_request_ctx=call,
        ) as response:
            body = await _read(response)
            return Answer(response.status, response.headers, members_of(body), body)

    def _session(self, *, outside: bool) -> aiohttp.ClientSession:
        if outside not in self._sessions:
            self._sessions[outside] = _open(outside=outside)
        return self._sessions[outside]

    async def _post_http2(self, request: Request, line: str, call: SimpleNamespace) -> Answer:
        self._http2 = self._http2 or Http2(tls_context(None), LARGEST_ANSWER)
        url = urlsplit(request.url)
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", url.netloc),
            (":path", url.path),
            *((name.lower(), value) for name, value in {**_HEADERS, **request.headers}.items()),
            ("content-length", str(len(request.body))),
        ]
        response = await self._http2.post(
            url.hostname or "", url.port or 443, line, headers, request.body, call
        )
        return Answer(response.status, response.headers, members_of(response.body), response.body)


class Inside(OSError):
    """The name leads into our network, and nowhere else."""


class _OutsideResolver(aiohttp.ThreadedResolver):
    """Keeps back the addresses of a name that a stranger may not have called."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [each for each in await super().resolve(host, port, family) if is_outside(each["host"])]
        if not found:
            raise Inside
        return found


def _may_lead_outside(url: str) -> bool:
    found = _HOST.fullmatch(url)
    return found is not None and may_lead_outside(found[1])


def _open(*, outside: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=_CONNECTIONS,
            limit_per_host=_CONNECTIONS_A_HOST,
            keepalive_timeout=_IDLE_SECONDS,
            ssl=tls_context(None),
            resolver=_OutsideResolver() if outside else None,
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the call's own counts
        headers=_HEADERS,
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


def _not_called(error: Exception) -> Rejected | TryLater | Misconfigured:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return Misconfigured("certificate_refused")
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, Inside):
        return Rejected("address_inside")
    if isinstance(error, ValueError):
        return Misconfigured("address_refused")
    return TryLater("connection")


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The answer's body; None where it is cut off or too large."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LARGEST_ANSWER:
                response.close()
                return None
    except (aiohttp.ClientError, OSError):
        return None
    return bytes(body)


def members_of(body: bytes | None) -> dict[str, Any]:
    """The JSON object; of anything else, none."""
    try:
        found = msgspec.json.decode(body or b"")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
