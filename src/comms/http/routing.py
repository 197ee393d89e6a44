"""A route as data, and the one way from a request to an answer.

Authenticate, check the scope, decode, call one action, encode. What is refused anywhere on
the way is answered as `{error, message}`. An answer that is made of pieces goes out as they come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import structlog
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from comms.actions import tokens
from comms.actions.house import House
from comms.domain.caller import ANY, Caller
from comms.domain.errors import Refused, Unavailable
from comms.http import parsing
from comms.http.loopback import is_local
from comms.store.database import AWAY
from comms.traces import here, inside

log = structlog.get_logger()

NDJSON = "application/x-ndjson"
"""JSON, one value a line (ndjson.org)."""

CSV = "text/csv"
"""RFC 4180, with a line of names first."""

_BODY_SECONDS = 30
_ALIVE = "/healthz"  # a process that drains is alive, and hands over what it has
_UNTRACED = {"/healthz", "/readyz", "/metrics"}  # asked for all day, by machines
NOBODY = Caller("nobody", "", frozenset(), UUID(int=0))
"""Who calls where nobody has to say so."""


class Answer(Struct, frozen=True):
    """Status, body and headers of a success. JSON is made of the body, unless it is bytes, which are sent
    as they are, or a generator of pieces.
    """

    body: Any
    status: int = 200
    headers: dict[str, str] = {}


class Call(Struct, frozen=True):
    """One request, decoded and authenticated."""

    house: House
    caller: Caller
    request: Request
    renewed: Callable[[], Awaitable[Caller]]
    """Who calls, by what is known of the token now; for calls that last."""

    refused: Callable[[Exception], Refused]
    """What an exception is to the caller; logged where it is our fault."""

    body: Any = None
    query: Any = None

    def brand_id(self) -> str:
        """The brand, where neither address nor body names it: the token's; X-Brand-Id for any."""
        named = self.request.headers.get("X-Brand-Id", "")
        if named:
            self.caller.act_for(named)
            return named
        if self.caller.brand_id == ANY:
            raise Refused(403, "forbidden", "A token for any brand must name the brand in X-Brand-Id.")
        return self.caller.brand_id

    def path_id(self, what: str) -> UUID:
        """The id in the address; 404 where it is no UUID."""
        return parsing.path_id(self.request.path_params["id"], what)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `scope` None: anybody may call. `person`: a person's own token may, too.

    `local`: from loopback anybody may call. An answer that is `str` is text. `line` instead of `body`:
    NDJSON comes in, and goes out as the answer, line by line, while the handler reads it. `raw` instead of
    `body`: bytes come in, so many at most, and are left as they are. `media`: what the lines that come in
    may be, or those that go out where none do, instead. `page`: it is a person's, not a program's: HTML
    comes out, and this is how a refusal looks.
    """

    method: str
    path: str
    scope: str | None
    handler: Callable[[Call], Awaitable[Answer]]
    summary: str
    answers: Mapping[int, type[Struct | str]]
    errors: Mapping[int, Sequence[str]] = field(default_factory=dict)
    body: type[Struct] | None = None
    line: type[Struct] | None = None
    raw: int | None = None
    media: Sequence[str] = ()
    query: type[Struct] | None = None
    headers: Sequence[str] = ()
    tag: str = "messages"
    person: bool = False
    local: bool = False
    page: Callable[[Refused], Answer] | None = None

    @property
    def name(self) -> str:
        """The handler's name: unique, and the operation's id."""
        return self.handler.__name__


class Resource:
    """One address as an ASGI application: its routes by method."""

    def __init__(self, house: House, routes: Sequence[Route]) -> None:
        self._house = house
        self._routes = {route.method: route for route in routes}
        if "GET" in self._routes:
            self._routes["HEAD"] = self._routes["GET"]  # RFC 9110, section 9.3.2; the body is left out below

    @property
    def methods(self) -> frozenset[str]:
        """Those that it answers to."""
        return frozenset(self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens on the way."""
        route = self._routes.get(scope["method"])
        if route is None:
            await refuse(unknown_method(self._routes), send)
        elif self._house.draining.is_set() and route.path != _ALIVE:
            await self._turn_away(route, send)
        elif self._house.traces.is_on and route.path not in _UNTRACED:
            request = Request(scope, receive)
            with inside(self._house.traces.request(route.method, route.path, request.headers)):
                await self._answer(route, request, send)
        else:
            await self._answer(route, Request(scope, receive), send)

    async def _turn_away(self, route: Route, send: Send) -> None:
        """A person is told so on a page."""
        made = (route.page or _refusal)(Unavailable())
        headers = {"Content-Type": "application/json", **made.headers}
        body = made.body if isinstance(made.body, bytes) else msgspec.json.encode(made.body)
        await respond(send, made.status, body, headers)

    async def _answer(self, route: Route, request: Request, send: Send) -> None:
        started, request_id = time.perf_counter(), uuid4()
        made = await self._outcome(route, request, request_id)
        here().answered(made.status)
        headers = {"Content-Type": "application/json", "X-Request-Id": str(request_id), **made.headers}
        if isinstance(made.body, AsyncGenerator):
            await stream(send, made.status, made.body, headers)
        else:
            body = made.body if isinstance(made.body, bytes) else msgspec.json.encode(made.body)
            await respond(send, made.status, body, headers)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        log.debug("answered", route=route.path, method=route.method, status=made.status, ms=milliseconds)

    async def _outcome(self, route: Route, request: Request, request_id: UUID) -> Answer:
        try:
            return await _call(route, self._house, request, request_id)
        except asyncio.CancelledError:  # the service ends, and its patience with this client
            return self._counted(route, Unavailable())
        except ClientDisconnect:
            return Answer({}, 499)  # nobody hears it
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered
            return self._counted(route, _refused(route, request_id, error))

    def _counted(self, route: Route, refused: Refused) -> Answer:
        self._house.metrics.refused.add(refused.code)
        here().note(refused=refused.code)
        return (route.page or _refusal)(refused)


async def refuse(refused: Refused, send: Send) -> None:
    """Answer `{error, message}`."""
    made = _refusal(refused)
    headers = {"Content-Type": "application/json", **made.headers}
    await respond(send, made.status, msgspec.json.encode(made.body), headers)


async def respond(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """An answer as ASGI wants it; nothing of ours is for anybody's cache."""
    await _start(send, status, {"Content-Length": str(len(body)), **headers})
    await send({"type": "http.response.body", "body": body})


async def stream(
    send: Send, status: int, pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str]
) -> None:
    """The same, piece by piece. The head waits for the first: until then a body that was announced
    with `Expect: 100-continue` is asked for.
    """
    try:
        async with aclosing(pieces):
            piece = await anext(pieces, b"")
            await _start(send, status, headers)
            while piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(pieces, b"")
        await send({"type": "http.response.body", "body": b""})
    except asyncio.CancelledError:
        return  # the service ends: an answer that stays unfinished is not taken for a whole one


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    named = {"Cache-Control": "no-store", **headers}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


def unknown_method(known: Iterable[str]) -> Refused:
    """405, with what the address does know."""
    allow = {"Allow": ", ".join(known)}
    return Refused(405, "method_not_allowed", "This address does not know that method.", allow)


def _refusal(refused: Refused) -> Answer:
    return Answer({"error": refused.code, "message": refused.message}, refused.status, refused.headers)


def _refused(route: Route, request_id: UUID, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    problem = type(error).__name__
    if isinstance(error, AWAY):
        log.warning("database_away", route=route.path, problem=problem)
        return Unavailable()
    # A fault of ours: its text may hold values, so only its name is kept.
    log.error("request_failed", route=route.path, problem=problem, request_id=str(request_id))
    return Refused(500, "internal_error", "Something went wrong here; it has been logged.")


async def _call(route: Route, house: House, request: Request, request_id: UUID) -> Answer:
    for name, value in request.path_params.items():
        parsing.check_name(name, value)
    free = route.scope is None or (route.local and is_local(request))
    renewed = partial(_authenticate, route, house, request, request_id)
    refused = partial(_refused, route, request_id)
    caller = replace(NOBODY, request_id=request_id) if free else await renewed()
    rates = {} if free else await house.rates.admit(caller)
    query = parsing.query(request.query_params.multi_items(), route.query) if route.query else None
    body = await _body(route, request)
    if caller.brand_id == ANY:
        named = getattr(body or query, "brand_id", None) or request.headers.get("X-Brand-Id")
        rates = await house.rates.admit_for(named, rates)
    answer = await route.handler(Call(house, caller, request, renewed, refused, body, query))
    return Answer(answer.body, answer.status, {**rates, **answer.headers}) if rates else answer


async def _body(route: Route, request: Request) -> Any:
    if route.raw:
        return await read_body(request, route.raw)
    return parsing.decode(await read_body(request), route.body) if route.body else None


async def _authenticate(route: Route, house: House, request: Request, request_id: UUID) -> Caller:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(
            401,
            "unauthenticated",
            "Send a token: Authorization: Bearer <token>.",
            {"WWW-Authenticate": "Bearer"},
        )
    caller = await tokens.authenticate(house, token.strip(), request_id)
    scope = route.scope or ""
    if not (caller.person_id is not None and route.person) and not caller.allows(scope):
        challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
        raise Refused(
            403, "insufficient_scope", f"This call needs a token with the scope {scope}.", challenge
        )
    return caller


async def read_body(request: Request, largest: int = parsing.LARGEST_BODY) -> bytes:
    """The body, as long as it is not too large and does not take too long: what is beyond is never kept."""
    announced = request.headers.get("Content-Length", "0")
    if announced.isdecimal() and int(announced) > largest:
        raise too_large("body", largest)
    chunks, size, more = [], 0, True
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size > largest:
                    raise too_large("body", largest)
                chunks.append(chunk)
    except TimeoutError:
        raise too_slow("The body took longer than", _BODY_SECONDS) from None
    return b"".join(chunks)


def too_large(what: str, largest: int = parsing.LARGEST_BODY) -> Refused:
    """413 for a body or a line."""
    return Refused(413, "payload_too_large", f"The {what} may have {largest // 1024} KiB at most.")


def too_slow(what: str, seconds: float) -> Refused:
    """408 for a body."""
    return Refused(408, "request_timeout", f"{what} {seconds:g} seconds.")
