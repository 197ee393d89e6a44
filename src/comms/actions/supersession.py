"""A message that replaces another: the one is accepted and the other cancelled, or neither.

Exactly one of the two can go. So where the other can't be stopped any more (sent, or being handed
over, or perhaps taken) the new one is refused, with 409, and its key stays free. What has ended
without going is no obstacle; what another message has replaced is: its successor is the one to name.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from comms.actions import messages
from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.decision import SUPERSEDED
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of, bucket_of_digest
from comms.store import messages as rows
from comms.store import supersession
from comms.store.database import Connection

REPLACING = ("already_sent", "in_flight", "not_cancellable", "already_superseded")
"""Why a message can't be replaced any more: 409."""

NOTHING_TO_REPLACE = ("superseded_not_found",)
"""422."""

_ENDED_UNSENT = {"cancelled", "expired", "suppressed", "failed"}


async def accept(
    house: House, caller: Caller, brand: Brand, row: rows.NewMessage, epoch: int, old_key: str
) -> bool:
    """Accept `row` in place of the message that holds `old_key`; False where its own key is taken."""
    now = house.clock.sql_now()
    async with house.acceptor.alone() as connection:
        if not await rows.accept(connection, epoch, [row], now):
            return False
        old_id = await _find(connection, brand, old_key)
        verdict = {**SUPERSEDED.words(), "facts": [{"kind": "superseded", "id": str(row.id)}]}
        key, by = (bucket_of(old_id), old_id), (caller.actor, caller.request_id)
        old = supersession.Superseded(*key, now, verdict, row.id, *by)
        if not (replaced := await supersession.supersede(connection, old)):
            await _require_ended(connection, old_id)
    house.metrics.ended.add("cancelled", by=replaced)
    house.acceptor.wake()
    return True


async def _find(connection: Connection, brand: Brand, key: str) -> UUID:
    digest = brand.cipher.digest("dedup_key", key)
    found = await rows.find_dedup(connection, bucket_of_digest(digest), brand.brand_id, digest)
    if found is None:
        raise Refused(
            422,
            "superseded_not_found",
            "There is no message with the dedup_key that options.supersedes names; leave it out, or mend it.",
        )
    message_id: UUID = found["message_id"]
    return message_id


async def _require_ended(connection: Connection, old_id: UUID) -> None:
    """409 unless the message has ended without going, in a statement of its own: it sees who was faster."""
    old = await rows.get(connection, bucket_of(old_id), old_id)
    assert old is not None  # noqa: S101 - messages stay
    if _is_superseded(old):
        raise Refused(
            409,
            "already_superseded",
            "The message was replaced by another already; name that one in options.supersedes.",
        )
    if old["status"] not in _ENDED_UNSENT:
        raise messages.too_late(old["status"], "replaced")


def _is_superseded(old: asyncpg.Record) -> bool:
    return bool(old["status"] == "cancelled" and old["failure_reason"] == "superseded")
