"""`/console`: the same actions as the API's, as pages that need no script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from comms.actions import tokens
from comms.actions.house import House
from comms.console import messages, overview, persons, session, setup
from comms.console.visit import SECURITY, Visit, back_to, rendered
from comms.domain.errors import Refused, Unavailable, invalid
from comms.store.database import AWAY

log = structlog.get_logger()

View = Callable[[Visit], Awaitable[Response]]

_LARGEST_FORM = 64 * 1024
_FORM_SECONDS = 30
_STYLE = (Path(__file__).parent / "console.css").read_bytes()

VIEWS: list[tuple[str, str, View]] = [
    ("GET", "/console", overview.show),
    ("GET", "/console/messages", messages.listed),
    ("POST", "/console/messages", messages.listed),
    ("GET", "/console/messages/{id}", messages.one),
    ("POST", "/console/messages/{id}/cancel", messages.cancel),
    ("POST", "/console/messages/{id}/settle", messages.settle),
    ("GET", "/console/persons", persons.ask),
    ("POST", "/console/persons", persons.show),
    ("POST", "/console/persons/preference", persons.set_preference),
    ("POST", "/console/persons/withdraw", persons.withdraw),
    ("POST", "/console/suppressions/{id}/lift", persons.lift),
    ("GET", "/console/brands", setup.brand_list),
    ("GET", "/console/brands/{brand_id:path}", setup.brand),
    ("POST", "/console/hold/{brand_id:path}", setup.hold),
    ("POST", "/console/release/{brand_id:path}", setup.release),
    ("GET", "/console/providers", setup.provider_list),
    ("GET", "/console/templates", setup.template_list),
    ("GET", "/console/templates/{id}", setup.template),
    ("POST", "/console/templates/{id}", setup.template),
]
"""Method, address, page. A person's name stands in no address: it would stay in the browser's history."""


def console(house: House) -> ASGIApp:
    """All pages, the way in and the way out."""
    routes = [
        Route(address, _page(house, view), methods=[method], name=f"{method} {address}")
        for method, address, view in VIEWS
    ]
    return Router(
        [
            Route("/console/sign-in", _guarded(house, _sign_in), methods=["GET", "POST"]),
            Route("/console/sign-out", _guarded(house, _sign_out), methods=["POST"]),
            Route("/console/console.css", _style, methods=["GET"]),
            Route("/console/", _front, methods=["GET"]),
            *routes,
        ],
        redirect_slashes=False,
        default=_nothing,
    )


Endpoint = Callable[[Request], Awaitable[Response]]


def _page(house: House, view: View) -> Endpoint:
    """A view for somebody who is signed in; others are shown the way in."""

    async def answer(house: House, request: Request, asked: dict[str, str]) -> Response:
        token = session.token(house.setup.master, request.headers.get("cookie", ""), house.clock.now())
        if token is None:
            return _way_in(request)
        try:
            caller = await tokens.authenticate(house, token, uuid4())
        except Refused:
            return _way_in(request)
        if caller.person_id is not None:
            return _way_in(request)
        visit = Visit(house, caller, request, asked)
        try:
            return await view(visit)
        except Refused as refused:
            return await visit.show("refused.html", refused.status, problem=refused.message)

    return _guarded(house, answer)


def _guarded(
    house: House, answer: Callable[[House, Request, dict[str, str]], Awaitable[Response]]
) -> Endpoint:
    """Read what was asked, answer it, and answer as well where that can't be done."""

    async def guarded(request: Request) -> Response:
        started = time.perf_counter()
        response = await _answer(house, request, answer)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        log.debug("page_shown", method=request.method, status=response.status_code, ms=milliseconds)
        return response

    return guarded


async def _answer(
    house: House, request: Request, answer: Callable[[House, Request, dict[str, str]], Awaitable[Response]]
) -> Response:
    try:
        return await answer(house, request, await _asked(request))
    except Refused as refused:
        return rendered("refused.html", refused.status, problem=refused.message)
    except ClientDisconnect:
        return Response(status_code=499)  # nobody hears it
    except Exception as error:  # noqa: BLE001 - whatever it was, it is answered; its text may hold values
        problem = type(error).__name__
        if isinstance(error, AWAY):
            log.warning("database_away", problem=problem)
            return rendered("refused.html", 503, problem=Unavailable().message)
        log.error("page_failed", problem=problem)
        return rendered("refused.html", 500, problem="Something went wrong here; it has been logged.")


async def _asked(request: Request) -> dict[str, str]:
    """The fields of query or form; what is empty was not said."""
    pairs = request.query_params.multi_items()
    if request.method == "POST":
        if not session.is_ours(request.headers):
            raise Refused(403, "forbidden", "The form came from another site, and nothing was done.")
        try:
            pairs = parse_qsl((await _form(request)).decode(), max_num_fields=100)
        except ValueError:
            raise invalid("The form can't be read.") from None
    asked = {name: value.strip() for name, value in pairs if value.strip()}
    if any("\0" in value for value in asked.values()):
        raise invalid("A field holds a NUL character.")
    return asked


async def _form(request: Request) -> bytes:
    form = b""
    async with asyncio.timeout(_FORM_SECONDS):
        async for chunk in request.stream():
            form += chunk
            if len(form) > _LARGEST_FORM:
                raise Refused(413, "payload_too_large", "The form is too large.")
    return form


async def _sign_in(house: House, request: Request, asked: dict[str, str]) -> Response:
    if request.method == "GET":
        return rendered("sign_in.html")
    try:
        caller = await tokens.authenticate(house, asked.get("token", ""), uuid4())
    except Refused as refused:
        return rendered("sign_in.html", refused.status, problem=refused.message)
    if caller.person_id is not None:
        return rendered("sign_in.html", 403, problem="A person's own token is not for the console.")
    value = session.sealed(house.setup.master, asked["token"], house.clock.now())
    return _with_cookie(back_to("/console"), value, request)


async def _sign_out(_house: House, request: Request, _asked: dict[str, str]) -> Response:
    return _with_cookie(back_to("/console/sign-in"), "", request)


def _with_cookie(response: Response, value: str, request: Request) -> Response:
    encrypted = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
    response.headers["Set-Cookie"] = session.set_cookie(value, encrypted=encrypted)
    return response


def _way_in(request: Request) -> Response:
    if request.method == "GET":
        return back_to("/console/sign-in")
    return rendered("sign_in.html", 401, problem="The session has ended; sign in again.")


async def _style(_request: Request) -> Response:
    return Response(_STYLE, headers=SECURITY, media_type="text/css")


async def _front(_request: Request) -> Response:
    return RedirectResponse("/console", headers=SECURITY)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await rendered("refused.html", 404, problem="There is no such page.")(scope, receive, send)
