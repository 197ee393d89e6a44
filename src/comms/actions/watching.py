"""What becomes of canaries: sent when they are due, judged by what is known of them.

A canary is well where the provider took it, and, once that provider has reported a delivery, where it reports
this one.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import structlog

from comms.actions import acceptance
from comms.actions.house import House
from comms.domain.caller import ANY, Caller
from comms.domain.content import Sealed
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of
from comms.store import canaries as rows
from comms.store import messages

log = structlog.get_logger()

_PERSON = "canary"
_PATIENCE = 60.0
"""Seconds after which one that was not sent is a problem."""

_UNDER_WAY = {"scheduled", "sending"}


async def keep(house: House) -> None:
    """Judge what is under way, and begin what is due. Safe by many at a time."""
    await house.setup.refresh()
    owner, now = house.database.owner, house.clock.sql_now()
    for row in await rows.unsettled(owner, now):
        await look(house, row)
    for row in await rows.begin(owner, now):
        try:
            await release(house, row)
        except Refused as refused:
            log.warning("canary_refused", provider_id=row["provider_id"], reason=refused.code)


def problem(row: asyncpg.Record) -> str | None:
    """What is wrong, as a code; None: nothing, as far as is known."""
    return "not_tried" if row["is_idle"] else row["problem"]


def state(row: asyncpg.Record) -> str:
    """`well`, `failing`, or `waiting` before anything is known."""
    if problem(row):
        return "failing"
    return "well" if row["well_at"] else "waiting"


async def release(house: House, row: asyncpg.Record) -> None:
    """Through the door that everybody's messages take."""
    caller = Caller("canary", ANY, frozenset(["admin:comms"]), uuid4())
    request = acceptance.Request(
        channel=row["channel"],
        template_key=row["template_key"],
        recipient=await recipient(house, row),
        brand_id=row["brand_id"],
        person_id=_PERSON,
        dedup_key=f"canary {caller.request_id}",
        scheduled_at=None,
        through=row["provider_id"],
    )
    key = (house.database.owner, row["provider_id"], row["begun_at"])
    try:
        accepted = await acceptance.schedule(house, caller, request)
    except Refused as refused:
        await rows.judged(*key, rows.Found(settled=True, problem=refused.code, sent=None, delivered=None))
        raise
    await rows.released(*key, UUID(accepted.message["id"]))


async def look(house: House, row: asyncpg.Record) -> rows.Found:
    """What is known of it by now; kept where it is something."""
    known = await _known(house, row)
    is_awaited = row["reports"] and known.delivered is None  # until it is over, or reported
    if known.settled or known.problem or (known.sent is not None and not is_awaited):
        await rows.judged(house.database.owner, row["provider_id"], row["begun_at"], known)
    return known


async def _known(house: House, row: asyncpg.Record) -> rows.Found:
    is_over, message_id = row["is_over"], row["message_id"]
    message = message_id and await messages.get(house.database.engine, bucket_of(message_id), message_id)
    if not message or message["status"] in _UNDER_WAY:
        is_late = is_over or row["age"] > _PATIENCE
        return rows.Found(is_over, "not_sent" if is_late else None, None, None)
    if message["status"] != "sent":
        said = message["failure_reason"] or message["status"]
        return rows.Found(settled=True, problem=said, sent=None, delivered=None)
    sent = _seconds(row, message["sent_at"])
    entries = await messages.timeline(house.database.engine, bucket_of(message_id), message_id)
    at = {entry["event"]: entry["at"] for entry in entries}
    if "bounced" in at:
        return rows.Found(settled=True, problem="bounced", sent=sent, delivered=None)
    delivered = _seconds(row, at["delivered"]) if "delivered" in at else None
    is_missed = is_over and row["reports"] and delivered is None
    settled = is_over or delivered is not None
    return rows.Found(settled, "not_delivered" if is_missed else None, sent, delivered)


def _seconds(row: asyncpg.Record, at: datetime) -> float:
    """From its beginning; the vendor's clock may be behind ours."""
    begun_at: datetime = row["begun_at"]
    return max(0.0, (at - begun_at).total_seconds())


async def recipient(house: House, row: asyncpg.Record) -> str:
    """Opened."""
    brand = await house.setup.require_brand(row["brand_id"])
    return brand.cipher.open(Sealed(row["recipient"]), row["canary_id"], "canary").decode()
