"""The ASGI application: the routes, and the few addresses that need no token."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from comms.actions.house import House
from comms.domain.errors import Refused
from comms.http import docs_page
from comms.http.openapi import document
from comms.http.routes import ROUTES
from comms.http.routing import Answer, Call, Resource, Route, refusal
from comms.http.shapes import Health
from comms.store import setup as rows

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
    """The database answers, and soon."""
    async with asyncio.timeout(_READY_SECONDS):
        await rows.epoch(call.house.database.engine)
    return Answer(Health("ready"))


OPEN = [
    Route("GET", "/healthz", None, healthz, "Is the process alive?", {200: Health}, tag="running"),
    Route("GET", "/readyz", None, readyz, "Does the database answer?", {200: Health}, tag="running"),
]


DOCUMENT = document([*ROUTES, *OPEN])
"""OpenAPI 3.1: what is written of the service and what is served are one."""


def application(house: House) -> Starlette:
    """The service."""
    pages = {
        "/v1/openapi.json": (msgspec.json.encode(DOCUMENT), "application/json"),
        "/docs": (docs_page.page(DOCUMENT).encode(), "text/html; charset=utf-8"),
        "/docs/style.css": (docs_page.STYLE.encode(), "text/css; charset=utf-8"),
    }
    resources: dict[str, list[Route]] = {}
    for route in [*ROUTES, *OPEN]:
        resources.setdefault(route.path, []).append(route)
    addresses = [Address(_whole_names(path), Resource(house, routes)) for path, routes in resources.items()]
    addresses += [Address(path, _page(*content), methods=["GET"]) for path, content in pages.items()]
    made = Starlette(routes=addresses, exception_handlers={HTTPException: _no_such_address})
    made.router.redirect_slashes = False
    return made


def _whole_names(path: str) -> str:
    """A person's or brand's name may hold a slash (as %2F): only ids are known not to."""
    return re.sub(r"{(?!id})(\w+)}", r"{\1:path}", path)


def _page(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def show(_request: Request) -> Response:
        return Response(content, headers=_PAGE_HEADERS, media_type=kind)

    return show


async def _no_such_address(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    headers = dict(error.headers or {})
    if error.status_code == 405:
        return refusal(Refused(405, "method_not_allowed", "This address does not know that method.", headers))
    return refusal(Refused(error.status_code, "not_found", "There is nothing at this address.", headers))
