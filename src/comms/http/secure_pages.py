"""Secure pages: what a `secure_link` leads to, shown once to who gives the proof; and their recall.

Programs fetch what stands in messages, to look for harm or to show a preview: looking never opens a page.
"""

from __future__ import annotations

from typing import Any

from comms.actions import secure_pages
from comms.actions.proof import could_be
from comms.actions.secure_pages import Asked, Wrong
from comms.domain.caller import Caller
from comms.http.codes import NOT_FOUND, WRITE
from comms.http.pages import form, page, refused_page
from comms.http.routing import Answer, Call, Route, read_body
from comms.http.shapes.messages import Recalled

_ACTOR = "secure link"
_LONGEST_ANSWER = 200
_ENDED = {404: ("bad_link",), 410: ("expired_link", "link_used", "link_locked", "link_recalled")}


async def show_secure_page(call: Call) -> Answer:
    """The question, and a box for its answer."""
    return _question(await secure_pages.ask(call.house, call.request.path_params["signed"]))


async def open_secure_page(call: Call) -> Answer:
    """What the message says, this once, where the answer is right."""
    sent = form(await read_body(call.request))
    said = sent.get("answer", [""])[0][:_LONGEST_ANSWER]
    signed = call.request.path_params["signed"]
    if not could_be(said):
        return _question(await secure_pages.ask(call.house, signed), 422)
    caller = Caller(_ACTOR, "", frozenset(), call.caller.request_id)
    made = await secure_pages.answer(call.house, caller, signed, said)
    if isinstance(made, Wrong):
        return _question(made.asked, 403, left=made.left)
    return page("secure", brand=made.brand.settings.name, title=made.page.title, body=made.page.body)


async def recall_page(call: Call) -> Answer:
    """From now on the message's secure page shows nothing."""
    return Answer(await secure_pages.recall(call.house, call.caller, call.path_id("message")))


def _question(asked: Asked, status: int = 200, *, left: int | None = None) -> Answer:
    name = asked.brand.settings.name
    return page("question", status, brand=name, question=asked.question, left=left)


def _page(method: str, handler: Any, summary: str, errors: dict[int, tuple[str, ...]]) -> Route:
    known = _ENDED | errors
    return Route(
        method, "/s/{signed}", None, handler, summary, {200: str}, known, tag="pages", page=refused_page
    )


PAGES = [
    _page("GET", show_secure_page, "The question before a secure page", {}),
    _page(
        "POST",
        open_secure_page,
        "Answer it, and open the page, once",
        {
            403: ("wrong_answer",),
            408: ("request_timeout",),
            413: ("payload_too_large",),
            422: ("validation_error",),
        },
    ),
]

ROUTES = [
    Route(
        "POST",
        "/v1/messages/scheduled/{id}/recall",
        WRITE,
        recall_page,
        "Recall what a message says behind its link",
        {200: Recalled},
        {**NOT_FOUND, 409: ("not_sent",), 422: ("no_secure_page",)},
    ),
]
