"""Messages: found, read from end to end, cancelled, settled."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response

from comms.actions import messages as actions
from comms.actions.search import Wanted, search
from comms.console.visit import Visit, back_to
from comms.domain.errors import Refused, invalid
from comms.domain.lifecycle import Status

READ, WRITE = "read:messages", "write:messages"
_PAGE = 50
_CHANNELS = ("email", "sms", "push", "in_app")


async def listed(visit: Visit) -> Response:
    """The newest that fit. What names a person comes by form: an address would be kept by the browser."""
    visit.need(READ)
    if found := _as_id(visit.asked.get("id")):
        return back_to(f"/console/messages/{found}")
    brand_id = await visit.brand_id()
    rows = await _found(visit, brand_id) if brand_id else []
    return await visit.show(
        "messages.html",
        messages=rows,
        next_cursor=rows[-1]["id"] if len(rows) == _PAGE else None,
        statuses=[each.value for each in Status],
        channels=_CHANNELS,
    )


async def one(visit: Visit) -> Response:
    """A message, what happened to it, and why."""
    visit.need(READ)
    return await _show(visit)


async def cancel(visit: Visit) -> Response:
    """Cancel it."""
    visit.need(WRITE)
    return await _done(visit, lambda wanted: actions.cancel(visit.house, visit.caller, wanted))


async def settle(visit: Visit) -> Response:
    """Say how an unknown one ended."""
    visit.need(WRITE)
    outcome = visit.asked.get("outcome", "")
    if outcome not in {"sent", "failed", "retry"}:
        raise invalid("Say how it ended: sent, failed or retry.")
    return await _done(visit, lambda wanted: actions.settle(visit.house, visit.caller, wanted, outcome))


async def _done(visit: Visit, act: Any) -> Response:
    wanted = visit.path_id("message")
    try:
        await act(wanted)
    except Refused as refused:
        if refused.status != 409:
            raise
        return await _show(visit, problem=refused.message)
    return back_to(f"/console/messages/{wanted}")


async def _show(visit: Visit, problem: str | None = None) -> Response:
    wanted = visit.path_id("message")
    message = await actions.get_scheduled(visit.house, visit.caller, wanted)
    try:
        explained = await actions.explain(visit.house, visit.caller, wanted)
    except Refused:
        explained = None
    return await visit.show(
        "message.html",
        409 if problem else 200,
        message=message,
        entries=await actions.timeline(visit.house, visit.caller, wanted),
        explained=explained,
        problem=problem,
        may_write=visit.caller.allows(WRITE),
    )


async def _found(visit: Visit, brand_id: str) -> list[dict[str, Any]]:
    asked = visit.asked
    if asked.get("status") not in (None, *Status) or asked.get("channel") not in (None, *_CHANNELS):
        raise invalid("There is no such status or channel.")
    wanted = Wanted(
        brand_id,
        status=asked.get("status"),
        channel=asked.get("channel"),
        template_key=asked.get("template_key"),
        person_id=asked.get("person_id"),
        recipient=asked.get("recipient"),
        dedup_key=asked.get("dedup_key"),
        before=visit.cursor(),
    )
    return await search(visit.house, visit.caller, wanted, _PAGE)


def _as_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise invalid("A message's id is a UUID.") from None
