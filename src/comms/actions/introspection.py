"""The platform's tokens: whoever issued one is asked what it stands for (RFC 7662).

An answer counts for some seconds, so a revocation is effective within them; never longer than the token
lives. Many calls with one token ask once. Where nobody answers, nobody is let in: 503, and not 401, since the
token may be good. Tokens are remembered by their hash.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections import OrderedDict
from typing import NamedTuple
from urllib.parse import quote_plus, urlencode
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from comms.clock import Clock
from comms.domain.caller import ANY, Caller, scopes_of
from comms.domain.errors import Refused, Unavailable, invalid_token
from comms.providers.http import Answer, Http, Request

log = structlog.get_logger()

GOOD_SECONDS = 5.0
"""How long an answer counts: so long a revoked token may still be taken."""

BAD_SECONDS = 2.0
"""How long a refusal counts: so long a token that was just issued may be refused, if it was tried before."""

_CALL_SECONDS = 3.0
_KEPT = 10_000
"""Answers of each kind; guesses push out other guesses, and no good ones."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}={0,8}")
"""RFC 6750, section 2.1. What is no token at all is not asked about."""

_LONGEST_NAME = 255


class Client(NamedTuple):
    """Where tokens are asked about, and as whom we ask."""

    url: str
    client_id: str
    secret: str


class _Said(Struct, frozen=True):
    """RFC 7662, section 2.2, with the platform's `brand`; `exp` in seconds since 1970."""

    active: bool
    scope: str = ""
    client_id: str | None = None
    sub: str | None = None
    brand: str | None = None
    exp: float | None = None

    @property
    def is_a_service(self) -> bool:
        """Client credentials: there is no user whom the token speaks for (RFC 9068, section 2.2)."""
        return self.sub is None or self.sub == self.client_id

    @property
    def actor(self) -> str:
        """Who it is in the audit; the prefix tells it from the name of a token of ours."""
        return f"platform:{self.sub or self.client_id or ''}"

    @property
    def is_readable(self) -> bool:
        """Can its names be kept as they are?"""
        names = [name for name in (self.sub, self.client_id, self.brand) if name is not None]
        return all(name.isprintable() and len(name) <= _LONGEST_NAME for name in names)


class _Known(NamedTuple):
    said: _Said
    until: float
    """On the monotonic clock."""


class Introspection:
    """Asks, and remembers for a moment. One a process."""

    def __init__(self, http: Http, client: Client, clock: Clock) -> None:
        self._http = http
        self._url = client.url
        self._headers = {
            "Authorization": _basic(client),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._clock = clock
        self._good: OrderedDict[bytes, _Known] = OrderedDict()
        self._bad: OrderedDict[bytes, _Known] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Said | None]] = {}

    async def caller(self, token: str, request_id: UUID) -> Caller:
        """Who holds this token; 401 `invalid_token` where it is not active, 503 where nobody can say."""
        if not _TOKEN.fullmatch(token):
            raise invalid_token()
        said = await self._look(token)
        if said is None:
            raise Unavailable("Whoever issued the token does not answer; repeat the request.")
        if not said.active:
            raise invalid_token()
        return Caller(said.actor, _brand(said), scopes_of(said.scope), request_id)

    async def answers(self) -> bool:
        """Is somebody there who knows us? Asked with a token that nobody has."""
        return await self._ask("comms-doctor") is not None

    async def _look(self, token: str) -> _Said | None:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._good.get(digest) or self._bad.get(digest)
        if known is not None and self._clock.monotonic() < known.until:
            return known.said
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._learn(digest, token))
        return await asyncio.shield(asking)  # who goes away leaves the answer to the others

    async def _learn(self, digest: bytes, token: str) -> _Said | None:
        """Ask, and remember from the moment of asking: what is revoked meanwhile is not good any longer."""
        try:
            began, now = self._clock.monotonic(), self._clock.now().timestamp()
            said = await self._ask(token)
            self._good.pop(digest, None)
            self._bad.pop(digest, None)
            if said is None:
                return None
            left = GOOD_SECONDS if said.exp is None else min(GOOD_SECONDS, said.exp - now)
            if said.active and left <= 0:
                said = _Said(active=False)
            kept, seconds = (self._good, left) if said.active else (self._bad, BAD_SECONDS)
            kept[digest] = _Known(said, began + seconds)
            if len(kept) > _KEPT:
                kept.popitem(last=False)
            return said
        finally:
            del self._asking[digest]

    async def _ask(self, token: str) -> _Said | None:
        """One call; None where it brought no answer that can be read. Tokens and answers are not logged."""
        form = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        answer = await self._http.post(Request(self._url, form, self._headers), _CALL_SECONDS)
        if not isinstance(answer, Answer):
            log.warning("introspection_failed", problem=answer.reason)
            return None
        if answer.status != 200:  # RFC 7662, section 2.3: our own credentials are refused, or it is ill
            log.warning("introspection_failed", status=answer.status)
            return None
        try:
            said = msgspec.convert(answer.members, _Said)
        except msgspec.ValidationError:
            said = None
        if said is None or not said.is_readable:
            log.warning("introspection_failed", problem="unreadable")
            return None
        return said


def _brand(said: _Said) -> str:
    """A service's token that names no brand is for any, and names it in each call; a user's is for none."""
    if said.brand and said.brand != ANY:
        return said.brand
    if not said.is_a_service:
        raise Refused(403, "forbidden", "The token names no brand; ask for one that does.")
    return ANY


def _basic(client: Client) -> str:
    """RFC 6749, section 2.3.1: both are form-encoded first."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
