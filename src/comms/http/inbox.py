"""The person's inbox, and the sandbox's outbox."""

from __future__ import annotations

from uuid import UUID

from comms.actions import inbox
from comms.domain.caller import ANY
from comms.domain.errors import Refused, invalid
from comms.http.routing import Answer, Call


async def list_inbox(call: Call) -> Answer:
    """The person's items, newest first."""
    person_id = call.request.path_params["person_id"]
    return Answer(
        {
            "data": await inbox.listed(
                call.house, call.caller, call.query.brand_id, person_id, call.query.limit
            )
        }
    )


async def mark_read(call: Call) -> Answer:
    """Items that the person has seen. A token for any brand names the brand in X-Brand-Id."""
    brand_id = call.caller.brand_id
    if brand_id == ANY:
        brand_id = call.request.headers.get("X-Brand-Id", "")
    if not brand_id:
        raise Refused(403, "forbidden", "A token for any brand must name the brand in X-Brand-Id.")
    try:
        wanted = [UUID(text) for text in call.body.ids]
    except ValueError:
        raise invalid("ids must be UUIDs, as the inbox lists them.") from None
    person_id = call.request.path_params["user_id"]
    return Answer({"updated": await inbox.bulk_read(call.house, call.caller, brand_id, person_id, wanted)})


async def list_outbox(call: Call) -> Answer:
    """What the sandbox was handed."""
    return Answer(
        {"data": await inbox.outbox(call.house, call.caller, call.query.brand_id, call.query.limit)}
    )
