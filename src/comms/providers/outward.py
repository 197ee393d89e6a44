"""Calls to addresses that callers of ours named: where to, is checked at every connection.

A name is resolved once, each address is checked, and the connection goes to one of those: a name
that leads somewhere else a moment later leads nowhere. TLS still asks for the name's certificate.
No redirects, no cookies, no proxy from the environment; of an answer, its status and Retry-After count.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from comms.domain.errors import Refused
from comms.domain.outside import check_url, is_number, is_outside

SECONDS: Final = 15.0
_CONNECTIONS = 512
_CONNECTIONS_A_HOST = 32
_MOST_READ = 4096
_RESOLVERS = 16
_RESOLVE_SECONDS = 5.0
_REMEMBERED_SECONDS = 5
"""Addresses that were checked are good for the connections of the same moment."""

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a receiver answered; `status` is None where nothing came, and `outcome` says why not."""

    status: int | None = None
    outcome: str = ""
    after: float = 0.0

    @property
    def is_taken(self) -> bool:
        """Any 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def problem(self) -> str | None:
        """Why it was not taken."""
        return None if self.is_taken else self.outcome


class Outward:
    """The connections of one process to whoever wants to hear; opened by the first call."""

    def __init__(self, *, local: bool = False, lookup: Lookup | None = None) -> None:
        self._local = local
        self._threads = ThreadPoolExecutor(_RESOLVERS, "outward")  # slow names must not hold up others' calls
        self._resolver = _Checked(lookup or self._look_up, local=local)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let all connections go."""
        if self._session:
            await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, url: str) -> None:
        """422 `url_refused` for an address that we would not call as things stand."""
        parsed = self._read(url)
        try:
            if not is_number(parsed.host or ""):
                await self._resolver.resolve(parsed.host or "", parsed.port or 443)
        except _Inside:
            raise Refused(
                422, "url_refused", "url can't be called: it leads into a network that is not public."
            ) from None
        except OSError:
            raise Refused(422, "url_refused", "url can't be called: its name does not resolve.") from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Said:
        """One call, `SECONDS` in all. Whatever happens, it is said and not raised."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._post(self._read(url), body, headers)
        except (aiohttp.ClientError, OSError, ValueError, Refused) as error:
            return Said(outcome=_problem(error))

    def _read(self, url: str) -> URL:
        """What was checked and what is called must be one: two parsers that differ are refused."""
        check_url(url, local=self._local)
        parsed = URL(url)
        check_url(str(parsed), local=self._local)
        return parsed

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Said:
        self._session = self._session or _open(self._resolver)
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            await answer.content.read(_MOST_READ)
            if not answer.content.at_eof():
                answer.close()  # what goes on is not read
            return Said(answer.status, f"answered_{answer.status}", _after(answer))

    async def _look_up(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        ask = (host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        found = await loop.run_in_executor(self._threads, socket.getaddrinfo, *ask)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Inside(OSError):
    """A name leads into a network that is not public."""


class _Checked(AbstractResolver):
    """Answers addresses only where each of them may be called."""

    def __init__(self, lookup: Lookup, *, local: bool) -> None:
        self._lookup = lookup
        self._local = local

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to connect to; `_Inside` where one of them is none for us."""
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await self._lookup(host, port)
        if not self._local and not all(is_outside(address) for address in found):
            raise _Inside
        return [_result(host, address, port) for address in found if _fits(address, family)]

    async def close(self) -> None:
        """Nothing is held."""


def _fits(address: str, family: socket.AddressFamily) -> bool:
    return family in {socket.AF_UNSPEC, _family(address)}


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=address, port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST
    )


def _open(resolver: AbstractResolver) -> aiohttp.ClientSession:
    tls = ssl.create_default_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=resolver,
            ttl_dns_cache=_REMEMBERED_SECONDS,
            limit=_CONNECTIONS,
            limit_per_host=_CONNECTIONS_A_HOST,
            ssl=tls,
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the call's own counts
        headers={"Accept-Encoding": "identity", "User-Agent": "comms"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _after(answer: aiohttp.ClientResponse) -> float:
    """Seconds that the receiver asks for; a date, or anything else, is not read."""
    text = answer.headers.get("Retry-After", "").strip()
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _problem(error: Exception) -> str:
    """A word for what happened; no text of the other side's, which might hold anything."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, _Inside | Refused):
        return "address_refused"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "certificate_refused"
    return "timeout" if isinstance(inner, TimeoutError) else "connection"
