"""Messages: scheduled, sent, shown, changed, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any
from uuid import UUID

from msgspec import UnsetType

from comms.actions import acceptance
from comms.actions import messages as actions
from comms.actions.house import House
from comms.actions.search import Wanted, search
from comms.actions.supersession import NOTHING_TO_REPLACE, REPLACING
from comms.domain import schedule as time
from comms.domain.caller import Caller
from comms.domain.decision import CODES as NOT_PERMITTED
from comms.domain.errors import invalid
from comms.domain.lifecycle import Status
from comms.http.codes import INVALID, NOBODY, NOT_FOUND, READ, UNACCEPTABLE, WRITE
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import BrandQuery
from comms.http.shapes.messages import (
    Explanation,
    Patch,
    RecentList,
    Schedule,
    ScheduledList,
    ScheduledMessage,
    ScheduledQuery,
    Search,
    Send,
    SendResult,
    Settle,
    Timeline,
)
from comms.store.database import AWAY
from comms.store.messages import Filter

PATIENCE = 10.0
"""Seconds that `send` waits for the outcome unless `Prefer: wait=` says otherwise."""

_MOST_PATIENCE = 30.0
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)
_LOOKS = (0.005, 0.01, 0.02, 0.04)


async def schedule_message(call: Call) -> Answer:
    """Accept a message for its time."""
    body: Schedule = call.body
    accepted = await acceptance.schedule(call.house, call.caller, asked(body, body.scheduled_at))
    headers = {"Idempotent-Replayed": "true"} if accepted.replayed else {}
    return Answer(accepted.message, 201, headers)


async def send_message(call: Call) -> Answer:
    """Accept a message for now, and wait for what becomes of it."""
    waits = patience(call.request.headers.get("Prefer", ""))
    accepted = await acceptance.schedule(call.house, call.caller, asked(call.body, None))
    message_id = UUID(accepted.message["id"])
    return Answer(await outcome(call.house, call.caller, message_id, waits))


async def list_scheduled(call: Call) -> Answer:
    """The brand's messages, newest first."""
    return Answer(await found(call.house, call.caller, call.query))


async def search_scheduled(call: Call) -> Answer:
    """The same list, narrowed by what must not stand in an address."""
    body: Search = call.body
    return Answer(await found(call.house, call.caller, body, body.recipient, body.subject))


async def get_scheduled(call: Call) -> Answer:
    """One message."""
    return Answer(await actions.get_scheduled(call.house, call.caller, call.path_id("message")))


async def get_message(call: Call) -> Answer:
    """One message, as `send` answers it."""
    return Answer(await _result(call.house, call.caller, call.path_id("message")))


async def list_recent(call: Call) -> Answer:
    """The brand's messages of either kind, newest first."""
    narrowed = Filter(call.query.brand_id, before=cursor(call.query.cursor))
    newest = await actions.find(call.house, call.caller, narrowed, call.query.limit)
    answer = page("messages", newest, call.query.limit)
    answer["messages"] = [
        {"message_id": each["id"], **{n: each[n] for n in ("channel", "recipient", "status", "sent_at")}}
        for each in newest
    ]
    return Answer(answer)


async def cancel_message(call: Call) -> Answer:
    """No provider has taken it, and none will."""
    return Answer(await actions.cancel(call.house, call.caller, call.path_id("message")))


async def change_message(call: Call) -> Answer:
    """Another time, other variables, or the template's current version."""
    patch: Patch = call.body
    if patch == Patch():
        raise invalid("Name what to change: scheduled_at, variables or template_version.")
    variables = None if isinstance(patch.variables, UnsetType) else patch.variables
    change = actions.Change(patch.scheduled_at or None, variables, patch.template_version == "current")
    return Answer(await actions.change(call.house, call.caller, call.path_id("message"), change))


async def settle_message(call: Call) -> Answer:
    """End a message whose provider's answer was lost."""
    return Answer(await actions.settle(call.house, call.caller, call.path_id("message"), call.body.outcome))


async def get_timeline(call: Call) -> Answer:
    """What happened to it."""
    return Answer({"data": await actions.timeline(call.house, call.caller, call.path_id("message"))})


async def explain_message(call: Call) -> Answer:
    """Why it was sent, or not."""
    return Answer(await actions.explain(call.house, call.caller, call.path_id("message")))


def asked(body: Send, scheduled_at: str | None) -> acceptance.Request:
    """The body as the action takes it."""
    return acceptance.Request(
        channel=body.channel,
        template_key=body.template_key,
        recipient=body.recipient,
        brand_id=body.brand_id,
        person_id=body.person_id,
        dedup_key=body.dedup_key,
        scheduled_at=scheduled_at,
        variables=body.variables,
        hipaa=body.hipaa,
        options=body.options,
    )


async def found(
    house: House,
    caller: Caller,
    asked: ScheduledQuery,
    recipient: str | None = None,
    subject: str | None = None,
) -> dict[str, Any]:
    """A page of the brand's scheduled messages that fit."""
    wanted = Wanted(
        brand_id=asked.brand_id,
        status=asked.status,
        channel=asked.channel,
        template_key=asked.template_key,
        person_id=asked.person_id,
        recipient=recipient,
        subject=subject,
        dedup_key=asked.dedup_key,
        since=time.read(asked.since, "from").instant if asked.since else None,
        until=time.read(asked.until, "to").instant if asked.until else None,
        before=cursor(asked.cursor),
    )
    return page("data", await search(house, caller, wanted, asked.limit), asked.limit)


async def outcome(house: House, caller: Caller, message_id: UUID, patience: float) -> dict[str, Any]:
    """What is known once the message is settled, when patience ends, or when the service does."""
    looks = iter(_LOOKS)
    ends = asyncio.get_running_loop().time() + patience
    shown = await _result(house, caller, message_id)
    while shown["status"] == Status.SENDING or (
        shown["status"] == Status.SCHEDULED and not house.draining.is_set()
    ):
        left = ends - asyncio.get_running_loop().time()
        if left <= 0:
            break
        await asyncio.sleep(min(next(looks, 0.1), left))
        with contextlib.suppress(*AWAY):  # it is accepted: a repeated request would only hear that
            shown = await _result(house, caller, message_id)
    return shown


async def _result(house: House, caller: Caller, message_id: UUID) -> dict[str, Any]:
    row, address = await actions.get(house, caller, message_id)
    return {
        "message_id": str(row["id"]),
        "dedup_key": address["dedup_key"],
        "channel": row["channel"],
        "status": row["status"],
        "provider": row["provider_id"],
    }


def patience(prefer: str) -> float:
    """Seconds from `Prefer: wait=N` (RFC 7240, section 4.3), at most thirty."""
    wait = _WAIT.search(prefer)
    return min(float(wait[1]), _MOST_PATIENCE) if wait else PATIENCE


def cursor(text: str | None) -> UUID | None:
    """Where a list goes on; 422 where no list has given it."""
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise invalid("cursor is not one that a list has given; leave it out to begin anew.") from None


def page(member: str, found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A list's answer; with a cursor where there may be more."""
    more = {"next_cursor": found[-1]["id"]} if len(found) == limit else {}
    return {member: found, **more}


_LATE = ("already_sent", "in_flight")
_UNACCEPTABLE = (*INVALID, *UNACCEPTABLE)
_NEW = (*NOBODY, "weak_proof")
_TIMES = ("scheduled_at_in_past", "scheduled_at_too_far")
_BY_KEY = ("dedup_key_conflict", "dedup_key_cancelled")

ROUTES = [
    Route(
        "POST",
        "/v1/messages/schedule",
        WRITE,
        schedule_message,
        "Schedule a message",
        {201: ScheduledMessage},
        {409: REPLACING, 422: (*_UNACCEPTABLE, *_NEW, *_TIMES, *_BY_KEY, *NOTHING_TO_REPLACE)},
        body=Schedule,
    ),
    Route(
        "POST",
        "/v1/messages/send",
        WRITE,
        send_message,
        "Send a message now",
        {200: SendResult},
        {
            409: ("dedup_key_used", *REPLACING),
            422: (*_UNACCEPTABLE, *_NEW, *NOT_PERMITTED, *NOTHING_TO_REPLACE),
        },
        body=Send,
        headers=("Prefer",),
    ),
    Route(
        "GET",
        "/v1/messages/scheduled",
        READ,
        list_scheduled,
        "List scheduled messages",
        {200: ScheduledList},
        {422: (*INVALID, "unknown_brand")},
        query=ScheduledQuery,
    ),
    Route(
        "GET",
        "/v1/messages/recent",
        READ,
        list_recent,
        "List recent messages",
        {200: RecentList},
        {422: (*INVALID, "unknown_brand")},
        query=BrandQuery,
    ),
    Route(
        "POST",
        "/v1/messages/scheduled/search",
        READ,
        search_scheduled,
        "Search scheduled messages",
        {200: ScheduledList},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        body=Search,
    ),
    Route(
        "GET",
        "/v1/messages/scheduled/{id}",
        READ,
        get_scheduled,
        "Show a scheduled message",
        {200: ScheduledMessage},
        NOT_FOUND,
    ),
    Route(
        "PATCH",
        "/v1/messages/scheduled/{id}",
        WRITE,
        change_message,
        "Change a waiting message",
        {200: ScheduledMessage},
        {**NOT_FOUND, 409: (*_LATE, "attempted", "not_changeable"), 422: (*_UNACCEPTABLE, *_TIMES)},
        body=Patch,
    ),
    Route(
        "POST",
        "/v1/messages/scheduled/{id}/cancel",
        WRITE,
        cancel_message,
        "Cancel a message",
        {200: ScheduledMessage},
        {**NOT_FOUND, 409: (*_LATE, "not_cancellable")},
    ),
    Route(
        "POST",
        "/v1/messages/scheduled/{id}/settle",
        WRITE,
        settle_message,
        "Settle an unknown message",
        {200: ScheduledMessage},
        {**NOT_FOUND, 409: ("not_unknown",), 422: INVALID},
        body=Settle,
    ),
    Route(
        "GET",
        "/v1/messages/{id}",
        READ,
        get_message,
        "Show a message",
        {200: SendResult},
        NOT_FOUND,
    ),
    Route(
        "GET",
        "/v1/messages/{id}/timeline",
        READ,
        get_timeline,
        "What happened to a message",
        {200: Timeline},
        NOT_FOUND,
    ),
    Route(
        "GET",
        "/v1/messages/{id}/explain",
        READ,
        explain_message,
        "Why it was sent, or not",
        {200: Explanation},
        {404: ("not_found", "not_decided", "erased")},
    ),
]
"""Order counts: words before `{id}`."""
