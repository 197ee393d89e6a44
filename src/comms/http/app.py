"""The ASGI application: the routes, and the few addresses that need no token."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import UNSET
from starlette.types import ASGIApp, Receive, Scope, Send

from comms.actions import sending
from comms.actions.house import House
from comms.domain.errors import Refused
from comms.http import docs_page, links, secure_pages
from comms.http.metrics import Metered, show_metrics
from comms.http.openapi import document
from comms.http.pages import STYLE
from comms.http.routes import ROUTES
from comms.http.routing import Answer, Call, Resource, Route, refuse, respond, unknown_method
from comms.http.shapes.health import Health
from comms.store import history as rows

_READY_SECONDS = 2.0

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def healthz(_call: Call) -> Answer:
    """The process lives."""
    return Answer(Health("ok"))


async def readyz(call: Call) -> Answer:
    """The database answers, and soon. Where sending is paused it says why, and is ready all the same."""
    async with asyncio.timeout(_READY_SECONDS):
        why = sending.because(await rows.state(call.house.database.engine))
    return Answer(Health("ready", why or UNSET))


OPEN = [
    Route("GET", "/healthz", None, healthz, "Is the process alive?", {200: Health}, tag="running"),
    Route("GET", "/readyz", None, readyz, "Does the database answer?", {200: Health}, tag="running"),
    Route(
        "GET",
        "/metrics",
        "admin:comms",
        show_metrics,
        "What Prometheus asks for",
        {200: str},
        tag="running",
        local=True,
    ),
]
_OBSERVED = [route for route in OPEN if route.path != "/readyz"]


_ALL = [*ROUTES, *links.ROUTES, *secure_pages.PAGES, *OPEN]

DOCUMENT = document(_ALL)
"""OpenAPI 3.1: what is written of the service and what is served are one."""


def application(house: House, beside: Mapping[str, ASGIApp] = MappingProxyType({})) -> ASGIApp:
    """The service, with what else is served `beside` it, by address."""
    pages: dict[str, ASGIApp] = {
        "/v1/openapi.json": Page(msgspec.json.encode(DOCUMENT), "application/json"),
        "/docs": Page(docs_page.page(DOCUMENT).encode(), "text/html; charset=utf-8"),
        "/docs/style.css": Page(docs_page.STYLE.encode(), "text/css; charset=utf-8"),
        "/pages.css": Page(STYLE, "text/css; charset=utf-8"),
    }
    return _metered(house, {**_resources(house, _ALL), **pages, **beside})


def observatory(house: House) -> ASGIApp:
    """What a worker alone shows of itself."""
    return _metered(house, _resources(house, _OBSERVED))


def _resources(house: House, routes: Sequence[Route]) -> dict[str, ASGIApp]:
    at: dict[str, list[Route]] = {}
    for route in routes:
        at.setdefault(route.path, []).append(route)
    return {path: Resource(house, alike) for path, alike in at.items()}


def _metered(house: House, answering: Mapping[str, ASGIApp]) -> ASGIApp:
    metered = {path: Metered(house.metrics, path, who) for path, who in answering.items()}
    return Addresses(metered, Metered(house.metrics, "none", _nothing))


async def _nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await refuse(Refused(404, "not_found", "There is nothing at this address."), send)


class Addresses:
    """Finds who answers at an address. One that is all words is found at once, and before any pattern;
    a person may be called `import`, though: what the words do not answer to, a pattern may. No id is a word.
    """

    def __init__(self, answering: Mapping[str, Metered], otherwise: ASGIApp) -> None:
        self._otherwise = otherwise
        self._words = {path: who for path, who in answering.items() if "{" not in path}
        self._patterns = [(_pattern(path), who) for path, who in answering.items() if "{" in path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, with the names that stand in its address."""
        named = self._words.get(scope["path"])
        if named is None:
            named = self._match(scope)
        elif not named.answers(scope["method"]):
            matched = self._match(scope)
            is_a_name = matched is not None and "id" not in scope["path_params"]
            named = matched if matched and is_a_name and matched.answers(scope["method"]) else named
        await (named or self._otherwise)(scope, receive, send)

    def _match(self, scope: Scope) -> Metered | None:
        for pattern, who in self._patterns:
            if found := pattern.fullmatch(scope["path"]):
                scope["path_params"] = found.groupdict()
                return who
        return None


class Page:
    """What is the same for everybody."""

    def __init__(self, content: bytes, kind: str) -> None:
        self._content = content
        self._headers = {"Content-Type": kind, **_PAGE_HEADERS}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The page, or 405."""
        if scope["method"] in {"GET", "HEAD"}:
            await respond(send, 200, self._content, self._headers)
        else:
            await refuse(unknown_method(["GET", "HEAD"]), send)


def _pattern(path: str) -> re.Pattern[str]:
    """A person's or brand's name may hold a slash (as %2F), and even a line's end; an id does not."""
    named = re.sub(r"{(\w+)}", lambda name: f"(?P<{name[1]}>{'[^/]+' if name[1] == 'id' else '.+'})", path)
    return re.compile(named, re.DOTALL)
