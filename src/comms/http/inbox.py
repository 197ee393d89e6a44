"""The person's inbox, and the sandbox's outbox."""

from __future__ import annotations

from uuid import UUID

from comms.actions import inbox
from comms.domain.errors import invalid
from comms.http.codes import INVALID, READ, WRITE
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import BrandQuery, Updated
from comms.http.shapes.inbox import BulkRead, InboxList, Outbox, OutboxQuery


async def list_inbox(call: Call) -> Answer:
    """The person's items, newest first."""
    wanted, person_id = call.query, call.request.path_params["person_id"]
    before = cursor(wanted.cursor)
    found = await inbox.listed(call.house, call.caller, wanted.brand_id, person_id, wanted.limit, before)
    return Answer(page("data", found, wanted.limit))


async def mark_read(call: Call) -> Answer:
    """Items that the person has seen."""
    try:
        wanted = [UUID(text) for text in call.body.ids]
    except ValueError:
        raise invalid("ids must be UUIDs, as the inbox lists them.") from None
    person_id = call.request.path_params["user_id"]
    brand_id = call.brand_id()
    return Answer({"updated": await inbox.bulk_read(call.house, call.caller, brand_id, person_id, wanted)})


async def list_outbox(call: Call) -> Answer:
    """What the sandbox was handed."""
    wanted = call.query
    found, more = await inbox.outbox(call.house, call.caller, wanted.brand_id, wanted.limit, wanted.cursor)
    return Answer({"data": found, **({"next_cursor": str(more)} if more else {})})


ROUTES = [
    Route(
        "POST",
        "/v1/inbox/{user_id}/bulk-read",
        WRITE,
        mark_read,
        "Mark items as read",
        {200: Updated},
        {422: (*INVALID, "unknown_brand")},
        body=BulkRead,
        headers=("X-Brand-Id",),
        tag="in-app",
        person=True,
    ),
    Route(
        "GET",
        "/v1/inbox/{person_id}",
        READ,
        list_inbox,
        "A person's inbox",
        {200: InboxList},
        {422: (*INVALID, "unknown_brand")},
        query=BrandQuery,
        tag="in-app",
        person=True,
    ),
    Route(
        "GET",
        "/v1/sandbox/outbox",
        READ,
        list_outbox,
        "What the sandbox was handed",
        {200: Outbox},
        {422: (*INVALID, "unknown_brand")},
        query=OutboxQuery,
        tag="sandbox",
    ),
]
