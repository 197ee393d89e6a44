"""Persons' notifications, and their inbox as it changes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import msgspec

from comms.actions import inbox, notifications
from comms.actions.setup import Brand
from comms.domain.errors import Refused, invalid
from comms.http.codes import INVALID, NOT_FOUND, READ, WRITE
from comms.http.messages import cursor
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.notifications import (
    Notification,
    NotificationList,
    NotificationsQuery,
    PersonQuery,
    StreamQuery,
    UnreadCount,
    WriteNotification,
    WrittenNotification,
)
from comms.store.database import AWAY

EVENTS = "text/event-stream"
"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

HEARTBEAT_SECONDS = 15.0
"""Proxies let go of what is silent for a minute; and a client that has gone away is noticed."""

_TOGETHER = 100
_EVENT_ID = re.compile(r"[0-9]{1,18}")


async def list_notifications(call: Call) -> Answer:
    """The person's, newest first."""
    wanted, brand_id = call.query, call.brand_id()
    person_id = notifications.person_of(call.caller, wanted.person_id)
    before = cursor(wanted.cursor)
    found = await notifications.listed(call.house, call.caller, brand_id, person_id, wanted.limit, before)
    more = found[-1]["id"] if len(found) == wanted.limit else None
    return Answer({"data": found, "next_cursor": more})


async def count_unread(call: Call) -> Answer:
    """How many the person has not read."""
    brand_id = call.brand_id()
    person_id = notifications.person_of(call.caller, call.query.person_id)
    return Answer({"count": await notifications.unread_count(call.house, call.caller, brand_id, person_id)})


async def read_notification(call: Call) -> Answer:
    """Mark one as read."""
    wanted = call.path_id("notification")
    return Answer(await notifications.read(call.house, call.caller, wanted))


async def write_notification(call: Call) -> Answer:
    """Write to a person's inbox, without a message."""
    body: WriteNotification = call.body
    new = notifications.New(body.kind, body.title, body.body, body.link, body.metadata)
    made = await notifications.create(call.house, call.caller, body.brand_id, body.patient_id, new)
    return Answer(made, 201)


async def stream_inbox(call: Call) -> Answer:
    """A person's inbox as it changes, for as long as both sides and the token last."""
    brand_id = call.query.brand_id or call.brand_id()
    person_id = notifications.person_of(call.caller, call.query.person_id)
    call.caller.act_for_person(brand_id, person_id)
    brand = await call.house.setup.require_brand(brand_id)
    digest = brand.person_hash(person_id)
    given = call.request.headers.get("Last-Event-ID", "")
    if given and not _EVENT_ID.fullmatch(given):
        raise invalid("Last-Event-ID must be the id of an event of this stream.")
    newest = await inbox.opened(call.house, call.caller, brand, digest)
    last = int(given) if given else newest
    headers = {"Content-Type": EVENTS, "X-Accel-Buffering": "no"}  # nginx would keep it all for itself
    return Answer(_events(call, brand, digest, last), headers=headers)


async def _events(call: Call, brand: Brand, digest: bytes, last: int) -> AsyncGenerator[bytes, None]:
    house, told, epoch = call.house, -1, call.house.setup.epoch
    with house.doorbell.waiting(digest) as bell:
        while not house.draining.is_set():
            bell.clear()
            try:
                if house.setup.epoch != epoch:
                    epoch = house.setup.epoch
                    await call.renewed()
                arrived, count = await inbox.arrived(house, call.caller, brand, digest, last, _TOGETHER)
            except (Refused, *AWAY, asyncpg.PostgresError):
                return  # the token was revoked, or the database is away: who asks again is told
            for n, item in arrived:
                yield _event("item", item, n)
                last = n
            if count != told:
                told = count
                yield _event("count", {"count": count})
            if len(arrived) < _TOGETHER and not await _rings(bell):
                if await call.request.is_disconnected():
                    return
                epoch = -1  # a token may have come to its end
                yield b": still here\n\n"


async def _rings(bell: asyncio.Event) -> bool:
    """False where nothing has for a while."""
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            return await bell.wait()
    except TimeoutError:
        return False


def _event(name: str, data: dict[str, Any], event_id: int | None = None) -> bytes:
    begins = b"" if event_id is None else f"id: {event_id}\n".encode()
    return begins + b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


ROUTES = [
    Route(
        "GET",
        "/v1/notifications/unread-count",
        READ,
        count_unread,
        "How many notifications are unread?",
        {200: UnreadCount},
        {422: (*INVALID, "unknown_brand")},
        query=PersonQuery,
        headers=("X-Brand-Id",),
        tag="in-app",
        person=True,
    ),
    Route(
        "GET",
        "/v1/notifications",
        READ,
        list_notifications,
        "A person's notifications",
        {200: NotificationList},
        {422: (*INVALID, "unknown_brand")},
        query=NotificationsQuery,
        headers=("X-Brand-Id",),
        tag="in-app",
        person=True,
    ),
    Route(
        "POST",
        "/v1/notifications/{id}/read",
        WRITE,
        read_notification,
        "Mark a notification as read",
        {200: Notification},
        NOT_FOUND,
        tag="in-app",
        person=True,
    ),
    Route(
        "POST",
        "/v1/admin/notifications",
        WRITE,
        write_notification,
        "Write a notification",
        {201: WrittenNotification},
        {422: (*INVALID, "unknown_brand")},
        body=WriteNotification,
        tag="in-app",
    ),
    Route(
        "GET",
        "/v1/inbox/stream",
        READ,
        stream_inbox,
        "A person's inbox as it changes",
        {200: str},
        {422: (*INVALID, "unknown_brand")},
        query=StreamQuery,
        media=(EVENTS,),
        headers=("X-Brand-Id", "Last-Event-ID"),
        tag="in-app",
        person=True,
    ),
]
