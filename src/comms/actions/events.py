"""What providers say of messages after they took them: kept once, put on timelines, and acted upon.

Whether an event is new is decided by the insert that keeps it, in the transaction of all that follows
from it: doubled, late and reordered events change nothing that they should not. It is about a message
only if that provider was handed it. It changes no status but that of a message that is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import texts
from comms.actions.devices import identify
from comms.actions.house import House
from comms.actions.setup import Brand
from comms.actions.suppressions import suppression
from comms.domain import outcome
from comms.domain.content import Sealed
from comms.domain.ids import bucket_of, bucket_of_digest
from comms.domain.permission import Reason
from comms.privacy.cipher import CannotOpen, PersonCipher
from comms.providers.events import Event, Happening, Inbound
from comms.store import devices, suppressions
from comms.store import events as rows
from comms.store.database import Connection

_TOGETHER = 500
_TRIES = 3
_SECOND_LOOK = 1.0
"""Seconds after which what a provider called a message, and had not been recorded, is looked for again."""

_ENGAGEMENT = {"opened", "clicked"}


class _Heard(NamedTuple):
    event: Event
    delivery: asyncpg.Record


async def hear(house: House, provider_id: str, happenings: Sequence[Happening]) -> None:
    """Keep what is new, and do what follows from it."""
    await house.setup.refresh()
    for first in range(0, len(happenings), _TOGETHER):
        part = happenings[first : first + _TOGETHER]
        about = await _about(house, provider_id, [each for each in part if isinstance(each, Event)])
        helped = await _retried(house, provider_id, part, about)
        for each in helped:
            await texts.help_out(house, each)


async def settle(house: House, connection: Connection, messages: list[tuple[int, UUID]]) -> None:
    """End those that are unknown and of which enough was heard meanwhile."""
    doubtful = await rows.in_doubt(connection, messages)
    settled = []
    for (bucket, message_id), deliveries in groupby(doubtful, lambda row: (row["bucket"], row["message_id"])):
        each = list(deliveries)
        ends = outcome.event([_standing(row) for row in each], stopped="reject")
        if ends != "lose":
            by = next((row for row in each if row["heard"]), each[0])
            reason = None if ends == "accept" else f"provider_rejected: {by['heard_reason'] or 'reported'}"
            settled.append(rows.Settled(bucket, message_id, ends == "accept", reason, by["provider_id"]))
    if settled:
        ended = await rows.settle(connection, house.clock.sql_now(), settled)
        house.metrics.ended.add("settled", by=len(ended))


def reference(provider_id: str, named: str, message_id: UUID, n: int) -> rows.Reference:
    """The row by which a delivery is found by what its provider calls it."""
    return rows.Reference(_bucket_of_reference(provider_id, named), provider_id, named, message_id, n)


async def _about(house: House, provider_id: str, events: list[Event]) -> dict[str, rows.Which]:
    """The delivery that each event is about, by the event's id: our key says, else the provider's name."""
    found = {each.id: _which(each.key) for each in events if each.key}
    named = {each.id: each.reference for each in events if not each.key and each.reference}
    account = await house.setup.account(provider_id)
    if not named or account is None or account.echoes_key:
        return found
    known = await _referred(house, provider_id, set(named.values()))
    if len(known) < len(set(named.values())):
        await asyncio.sleep(_SECOND_LOOK)  # it may have been quicker than our own record
        known = await _referred(house, provider_id, set(named.values()))
    return found | {each: known[name] for each, name in named.items() if name in known}


async def _referred(house: House, provider_id: str, names: set[str]) -> dict[str, rows.Which]:
    wanted = [(_bucket_of_reference(provider_id, name), name) for name in sorted(names)]
    async with house.database.engine.acquire() as connection:
        found = await rows.referred(connection, provider_id, wanted)
    return {name: rows.Which(bucket_of(message_id), message_id, n) for name, (message_id, n) in found.items()}


async def _retried(
    house: House, provider_id: str, part: Sequence[Happening], about: dict[str, rows.Which]
) -> list[texts.Help]:
    """Two calls, or a call and a record, may want the same rows: one of them gives way and comes again."""
    for _ in range(_TRIES - 1):
        try:
            return await _keep(house, provider_id, part, about)
        except asyncpg.TransactionRollbackError:
            continue
    return await _keep(house, provider_id, part, about)


async def _keep(
    house: House, provider_id: str, part: Sequence[Happening], about: dict[str, rows.Which]
) -> list[texts.Help]:
    now = house.clock.now()
    by_hash = {_hash(each): each for each in reversed(part) if isinstance(each, Event | Inbound)}
    if not by_hash:
        return []
    async with house.database.engine.acquire() as connection, connection.transaction():
        keys = [(bucket_of_digest(digest), digest) for digest in by_hash]
        fresh = await rows.keep(connection, provider_id, keys, now)
        new = [each for digest, each in reversed(by_hash.items()) if digest in fresh]
        events = [each for each in new if isinstance(each, Event) and each.id in about]
        if events:
            await _take_in(house, connection, provider_id, events, about, now)
        helped = []
        for each in new:
            if isinstance(each, Inbound):
                helped += await texts.obey(house, connection, provider_id, each)
    return helped


async def _take_in(
    house: House,
    connection: Connection,
    provider_id: str,
    events: list[Event],
    about: dict[str, rows.Which],
    now: datetime,
) -> None:
    which = sorted({about[each.id] for each in events})
    found = await rows.deliveries(connection, provider_id, which)
    deliveries = {rows.Which(row["bucket"], row["message_id"], row["n"]): row for row in found}
    heard = [_Heard(each, deliveries[about[each.id]]) for each in events if about[each.id] in deliveries]
    if notes := [_note(provider_id, each, now) for each in heard if _is_for_the_timeline(each)]:
        await rows.note(connection, notes)
    if told := _told(heard):
        await rows.hear(connection, told)
        await settle(house, connection, sorted({(each.bucket, each.message_id) for each in told}))
    await _act(house, connection, provider_id, heard, now)


def _is_for_the_timeline(heard: _Heard) -> bool:
    """`accepted` there is our own; who reads health data is not followed; of a device `_forget` tells."""
    name = heard.event.event
    if heard.delivery["channel"] == "push" and heard.event.for_good:
        return False
    return name != "accepted" and not (heard.delivery["hipaa"] and name in _ENGAGEMENT)


def _note(provider_id: str, heard: _Heard, now: datetime) -> rows.Note:
    event, delivery = heard
    details = {"provider_id": provider_id, **({"reason": event.reason} if event.reason else {})}
    key = (delivery["bucket"], delivery["message_id"], delivery["brand_id"])
    return rows.Note(*key, min(event.at, now), event.event, details)


def _told(heard: list[_Heard]) -> list[rows.Told]:
    """What is said of each delivery: that somebody has it outweighs that it came to nothing."""
    told: dict[rows.Which, rows.Told] = {}
    for event, row in heard:
        key = rows.Which(row["bucket"], row["message_id"], row["n"])
        said = outcome.PROVES.get(event.event)
        if said and (said == "taken" or key not in told):
            told[key] = rows.Told(*key, said, event.reason)
    return sorted(told.values())


async def _act(
    house: House, connection: Connection, provider_id: str, heard: list[_Heard], now: datetime
) -> None:
    """A bounce for good or a complaint ends the address, or the device; an unsubscribe less than that."""
    new: list[suppressions.NewSuppression] = []
    for event, row in heard:
        reason, channel = _reason(event, row["channel"]), row["channel"]
        brand = await house.setup.brand(row["brand_id"]) if reason else None
        if reason is None or brand is None or channel == "in_app":
            continue
        message_id = row["message_id"]
        person = await house.keys.one(brand, row["person_hash"], connection)
        try:
            if channel == "push":
                note = _note(provider_id, _Heard(event, row), now)
                await _forget(connection, brand, person, note, row)
                continue
            address = person.open(Sealed(row["address"]), message_id, "address")
            _, recipient, _ = msgspec.json.decode(address)
        except CannotOpen:
            continue  # erased: nobody knows any more who that was
        said = (reason, f"message {message_id}", now, min(event.at, now))
        new.append(suppression(brand, channel, recipient, *said))
    if new:
        await suppressions.add_heard(connection, new)


async def _forget(
    connection: Connection, brand: Brand, person: PersonCipher, note: rows.Note, row: asyncpg.Record
) -> None:
    """Nobody has the device any more, unless it was registered again since."""
    payload = person.open(Sealed(row["payload"]), row["message_id"], f"payload/{row['n']}")
    device_id = identify(brand, msgspec.json.decode(payload)["recipient"])
    key = (row["brand_id"], row["begun_at"], row["bucket"], row["message_id"])
    if not await devices.forget(connection, [devices.Dead(device_id, *key, note.details)], note.at):
        await rows.note(connection, [note])


def _reason(event: Event, channel: str) -> Reason | None:
    if event.event == "bounced" and event.for_good:
        return "hard_bounce"
    if channel == "push":
        return None
    if event.event == "unsubscribed":
        return "stop" if channel == "sms" else "unsubscribe"
    return "complaint" if event.event == "complained" else None


def _standing(row: asyncpg.Record) -> outcome.Standing:
    answer = outcome.told(row["outcome"], row["doubts"], row["heard"])
    return outcome.standing(answer, row["doubts"], idempotent=False, prefers_duplicate=False)


def _which(key: str) -> rows.Which:
    message_id, _, n = key.rpartition("-")
    return rows.Which(bucket_of(UUID(message_id)), UUID(message_id), int(n))


def _hash(happening: Event | Inbound) -> bytes:
    return sha256(happening.id.encode()).digest()


def _bucket_of_reference(provider_id: str, named: str) -> int:
    return bucket_of_digest(sha256(f"{provider_id}\0{named}".encode()).digest())
