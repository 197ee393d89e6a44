"""Many messages at once."""

from __future__ import annotations

from comms.actions import bulk
from comms.domain.errors import invalid
from comms.http.codes import INVALID, WRITE
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.bulk import CancelMany, Repin, Verdicts


async def cancel_many(call: Call) -> Answer:
    """The message of a key, or what is open for a person, of a template or about a subject."""
    body: CancelMany = call.body
    if sum(bool(each) for each in (body.dedup_key, body.person_id, body.template_key, body.subject)) != 1:
        raise invalid("Name exactly one of dedup_key, person_id, template_key and subject.")
    verdicts = await bulk.cancel(
        call.house,
        call.caller,
        body.brand_id,
        dedup_key=body.dedup_key or None,
        person_id=body.person_id or None,
        template_key=body.template_key or None,
        subject=body.subject or None,
        before=cursor(body.cursor),
        limit=body.limit,
    )
    return Answer(page("data", verdicts, body.limit))


async def repin_many(call: Call) -> Answer:
    """All that wait get the template's current version."""
    body: Repin = call.body
    wanted = (body.brand_id, body.template_key, body.channel)
    verdicts = await bulk.repin(call.house, call.caller, *wanted, cursor(body.cursor), body.limit)
    return Answer(page("data", verdicts, body.limit))


ROUTES = [
    Route(
        "POST",
        "/v1/messages/scheduled/cancel",
        WRITE,
        cancel_many,
        "Cancel many messages",
        {200: Verdicts},
        {422: (*INVALID, "unknown_brand")},
        body=CancelMany,
    ),
    Route(
        "POST",
        "/v1/messages/scheduled/repin",
        WRITE,
        repin_many,
        "Give what waits the current version",
        {200: Verdicts},
        {422: (*INVALID, "unknown_brand")},
        body=Repin,
    ),
]
