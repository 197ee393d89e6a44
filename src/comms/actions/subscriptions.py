"""Who wants to hear of a brand's events: asked for, changed, tried out, told again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain import webhooks
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused, not_found
from comms.domain.schedule import show
from comms.store import audit, setup
from comms.store import subscriptions as rows
from comms.store.database import Connection

_MOST = 50
_MOST_REPLAYS = 5
_SECRET_BYTES = 32
_CLOCKS_DIFFER = timedelta(minutes=5)
"""An event's time is another machine's than that by which its entry was closed."""


class _Secret(msgspec.Struct, array_like=True):
    key: str
    until: datetime | None = None


async def add(house: House, caller: Caller, brand_id: str, url: str, events: Sequence[str]) -> dict[str, Any]:
    """A new subscription, and the only time that its secret is shown."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    await house.outward.check(url)
    subscription_id, now = uuid4(), house.clock.now()
    key = webhooks.secret(os.urandom(_SECRET_BYTES))
    sealed = _seal(brand, subscription_id, [_Secret(key)])
    new = rows.NewSubscription(subscription_id, brand_id, url, sorted(set(events)), sealed, now, _MOST)
    async with house.database.brand(brand_id) as connection:
        row = await rows.add(connection, new)
        if row is None:
            why = f"The brand has {_MOST} subscriptions, which is the most; delete one first."
            raise Refused(422, "too_many_subscriptions", why)
        await _note(house, connection, caller, row, "subscription_put")
    return {**_show(row), "secret": key}


async def get(house: House, caller: Caller, subscription_id: UUID) -> dict[str, Any]:
    """One, with how it is doing."""
    async with house.database.brand(caller.brand_id) as connection:
        return _show(_there(await rows.get(connection, subscription_id)))


async def listed(
    house: House, caller: Caller, brand_id: str, limit: int, before: UUID | None
) -> list[dict[str, Any]]:
    """The brand's, newest first."""
    caller.act_for(brand_id)
    await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        return [_show(row) for row in await rows.listed(connection, brand_id, before, limit)]


async def put(
    house: House, caller: Caller, subscription_id: UUID, url: str, events: Sequence[str], *, enabled: bool
) -> dict[str, Any]:
    """Another address, other events, off or on again: then it hears of what happens from now on."""
    await house.outward.check(url)
    now = house.clock.now()
    async with house.database.brand(caller.brand_id) as connection:
        before = _there(await rows.get(connection, subscription_id, lock=True))
        row = await rows.put(connection, subscription_id, url, sorted(set(events)), now, enabled=enabled)
        if before["disabled_at"] and enabled:
            await rows.begin_anew(connection, subscription_id)
        else:
            await rows.try_now(connection, subscription_id, now)
        await _note(house, connection, caller, row, "subscription_put")
    return _show(row)


async def remove(house: House, caller: Caller, subscription_id: UUID) -> None:
    """Nothing more is told."""
    async with house.database.brand(caller.brand_id) as connection:
        row = _there(await rows.get(connection, subscription_id, lock=True))
        await rows.remove(connection, subscription_id)
        await _note(house, connection, caller, row, "subscription_removed")


async def rotate(house: House, caller: Caller, subscription_id: UUID, overlap: timedelta) -> dict[str, Any]:
    """A new secret, shown once; for `overlap` the one before signs, too."""
    now = house.clock.now()
    async with house.database.brand(caller.brand_id) as connection:
        row = _there(await rows.get(connection, subscription_id, lock=True))
        brand = await house.setup.require_brand(row["brand_id"])
        old = _open(brand, subscription_id, row["secrets"])[0]
        fresh = _Secret(webhooks.secret(os.urandom(_SECRET_BYTES)))
        sealed = _seal(brand, subscription_id, [fresh, _Secret(old.key, now + overlap)])
        await rows.keep_secrets(connection, subscription_id, sealed, now)
        await rows.try_now(connection, subscription_id, now)
        await _note(house, connection, caller, row, "subscription_secret_rotated")
    return {"secret": fresh.key, "old_until": show(now + overlap)}


async def test(house: House, caller: Caller, subscription_id: UUID) -> dict[str, Any]:
    """Call the receiver now, with an event of its own kind; what it answers is not shown, only its status."""
    async with house.database.brand(caller.brand_id) as connection:
        row = _there(await rows.get(connection, subscription_id))
        await _note(house, connection, caller, row, "subscription_tested")
    brand, now = await house.setup.require_brand(row["brand_id"]), house.clock.now()
    body = webhooks.test_body(brand.brand_id, now)
    keys = keys_at(brand, subscription_id, row["secrets"], now)
    said = await house.outward.post(row["url"], body, webhooks.headers(keys, f"evt_{uuid4().hex}", now, body))
    return {"delivered": said.is_taken, "status": said.status, "problem": said.problem}


async def replay(
    house: House, caller: Caller, subscription_id: UUID, since: datetime, until: datetime
) -> dict[str, Any]:
    """Tell again what happened in this time, beside what happens now and with the same ids."""
    if since >= until:
        raise Refused(422, "empty_time_range", "from must be before to.")
    async with house.database.brand(caller.brand_id) as connection:
        row = _there(await rows.get(connection, subscription_id, lock=True))
        if row["disabled_at"]:
            raise Refused(409, "subscription_disabled", "The subscription is disabled; enable it first.")
        if await rows.replays(connection, subscription_id) >= _MOST_REPLAYS:
            why = f"{_MOST_REPLAYS} replays are under way; wait for one to end."
            raise Refused(409, "too_many_replays", why, {"Retry-After": "60"})
        replay_id, after = uuid4(), await audit.closed_before(connection, since - _CLOCKS_DIFFER)
        key = (replay_id, subscription_id, row["brand_id"])
        await rows.replay(connection, *key, (since, until), after)
        await _note(house, connection, caller, row, "subscription_replayed")
    return {"id": str(replay_id), "from": show(since), "to": show(until)}


def event_id(brand: Brand, n: int) -> str:
    """The same for each attempt and replay of an event; it does not tell how much happens elsewhere."""
    return f"evt_{brand.cipher.digest('event', str(n)).hex()}"


def keys_at(brand: Brand, subscription_id: UUID, sealed: bytes, now: datetime) -> list[str]:
    """What is signed with at this moment, the newest first."""
    found = _open(brand, subscription_id, sealed)
    return [each.key for each in found if each.until is None or each.until > now]


def _seal(brand: Brand, subscription_id: UUID, secrets: list[_Secret]) -> Sealed:
    return brand.cipher.seal(Plain(msgspec.json.encode(secrets)), subscription_id, "subscription")


def _open(brand: Brand, subscription_id: UUID, sealed: bytes) -> list[_Secret]:
    opened = brand.cipher.open(Sealed(sealed), subscription_id, "subscription")
    return msgspec.json.decode(opened, type=list[_Secret])


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise not_found("subscription")
    return row


async def _note(
    house: House, connection: Connection, caller: Caller, row: asyncpg.Record, event: str
) -> None:
    details = {"subscription_id": str(row["subscription_id"])}
    by = (caller.actor, caller.request_id)
    await setup.note(connection, row["brand_id"], house.clock.now(), event, details, by)


def _show(row: asyncpg.Record) -> dict[str, Any]:
    state = "disabled" if row["disabled_at"] else "failing" if row["failing_since"] else "healthy"
    return {
        "id": str(row["subscription_id"]),
        "brand_id": row["brand_id"],
        "url": row["url"],
        "events": row["events"],
        "state": state,
        **{name: show(row[name]) if row[name] else None for name in ("failing_since", "disabled_at")},
        "disabled_reason": row["disabled_reason"],
        "problem": row["problem"],
        "missed": row["missed"],
        "created_at": show(row["created_at"]),
        "updated_at": show(row["updated_at"]),
    }
