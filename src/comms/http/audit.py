"""The audit: who did what."""

from __future__ import annotations

from uuid import UUID

from comms.actions import audit
from comms.domain import schedule as time
from comms.domain.errors import invalid
from comms.http.codes import INVALID
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.audit import AuditList, AuditQuery
from comms.store.audit import Wanted


async def list_audit(call: Call) -> Answer:
    """What was done, newest first."""
    asked: AuditQuery = call.query
    wanted = Wanted(
        since=time.read(asked.since, "from").instant if asked.since is not None else None,
        until=time.read(asked.until, "to").instant if asked.until is not None else None,
        actor=asked.actor,
        action=asked.action,
    )
    about = _message_id(asked.message_id)
    key = (asked.brand_id, about, wanted, asked.limit, asked.cursor)
    found, more = await audit.listed(call.house, call.caller, *key)
    return Answer({"data": found, **({"next_cursor": str(more)} if more else {})})


def _message_id(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise invalid("message_id must be a UUID.") from None


ROUTES = [
    Route(
        "GET",
        "/v1/audit",
        "read:audit",
        list_audit,
        "Who did what",
        {200: AuditList},
        {422: INVALID},
        query=AuditQuery,
        tag="audit",
    ),
]
