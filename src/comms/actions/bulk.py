"""Many messages at once, with a verdict each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from comms.actions import messages
from comms.actions.house import House
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of
from comms.store import messages as rows
from comms.store.database import Connection

Verdicts = list[dict[str, Any]]
"""`{id, status}`, with `error` where the message stayed as it was."""


async def cancel(
    house: House,
    caller: Caller,
    brand_id: str,
    *,
    dedup_key: str | None,
    person_id: str | None,
    template_key: str | None,
    subject: str | None,
    before: UUID | None,
    limit: int,
) -> Verdicts:
    """Cancel a key's message, or a page of what is open for a person, of a template, about a subject."""
    if dedup_key is not None:
        found = await messages.find_by_key(house, caller, brand_id, dedup_key)
        wanted = [found] if found else []
    else:
        wanted = await _open(house, caller, brand_id, person_id, template_key, None, before, limit, subject)
    async with house.database.brand(brand_id) as connection:
        now = house.clock.sql_now()
        cancelled = await rows.cancel(connection, wanted, now, caller.actor, caller.request_id)
        verdicts = [await _verdict(connection, each, cancelled) for each in wanted]
    house.metrics.ended.add("cancelled", by=len(cancelled))
    return verdicts


async def repin(
    house: House,
    caller: Caller,
    brand_id: str,
    template_key: str,
    channel: str,
    before: UUID | None,
    limit: int,
) -> Verdicts:
    """Give a page of what waits the template's current version, each checked as at acceptance."""
    change = messages.Change(current_version=True)
    verdicts: Verdicts = []
    for each in await _open(house, caller, brand_id, None, template_key, channel, before, limit):
        try:
            shown = await messages.change(house, caller, each, change)
            verdicts.append({"id": str(each), "status": shown["status"]})
        except Refused as refused:
            now = await messages.get_scheduled(house, caller, each)
            verdicts.append({"id": str(each), "status": now["status"], "error": refused.code})
    return verdicts


async def _open(
    house: House,
    caller: Caller,
    brand_id: str,
    person_id: str | None,
    template_key: str | None,
    channel: str | None,
    before: UUID | None,
    limit: int,
    subject: str | None = None,
) -> list[UUID]:
    caller.act_for(brand_id)
    hashes = await messages.digests(house, brand_id, person_id=person_id, subject=subject)
    person, about = hashes["person_id"], hashes["subject"]
    async with house.database.brand(brand_id) as connection:
        return await rows.open_ones(connection, brand_id, person, template_key, channel, before, about, limit)


async def _verdict(connection: Connection, wanted: UUID, cancelled: set[UUID]) -> dict[str, Any]:
    """Cancelled, now or before, or why it could not be."""
    if wanted in cancelled:
        return {"id": str(wanted), "status": "cancelled"}
    row = await rows.get(connection, bucket_of(wanted), wanted)
    assert row is not None  # noqa: S101 - messages stay
    if row["status"] == "cancelled":
        return {"id": str(wanted), "status": "cancelled"}
    error = messages.too_late(row["status"], "cancelled").code
    return {"id": str(wanted), "status": row["status"], "error": error}
