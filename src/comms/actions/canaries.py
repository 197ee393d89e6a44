"""Canaries: messages of our own through each provider, all the way, at an interval.

A canary is a message like any other, of a brand that the operator names, and so it counts where that brand's
do: a brand of its own keeps it out of everybody's lists, caps and events. Only its way is another: it goes
through the provider that it watches and no other, whatever the brand's route says.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg

from comms.actions import watching
from comms.actions.house import House
from comms.domain.caller import ANY, Caller
from comms.domain.content import Plain
from comms.domain.errors import Refused, not_found
from comms.domain.recipient import normalise
from comms.domain.schedule import show
from comms.store import canaries as rows
from comms.store import setup

_LOOKS = 0.02


class Watch(NamedTuple):
    """What a provider's canary is set up with."""

    brand_id: str
    channel: str
    template_key: str
    recipient: str
    every_seconds: int


async def put(house: House, caller: Caller, provider_id: str, watch: Watch) -> dict[str, Any]:
    """Watch a provider from now on."""
    _require_operator(caller)
    await _require_provider(house, provider_id)
    brand = await house.setup.require_brand(watch.brand_id)
    recipient = normalise(watch.channel, watch.recipient)
    await house.setup.require_route(brand, watch.channel, hipaa=False, through=provider_id)
    canary_id = uuid4()
    sealed = brand.cipher.seal(Plain(recipient.encode()), canary_id, "canary")
    every = timedelta(seconds=watch.every_seconds)
    new = rows.NewCanary(
        provider_id, canary_id, watch.brand_id, watch.channel, watch.template_key, sealed, every
    )
    async with house.database.owner.acquire() as connection, connection.transaction():
        await rows.put(connection, house.clock.sql_now(), new)
        await setup.move_epoch(connection)  # workers claim by it
        await _note(house, connection, caller, provider_id, "canary_put")
    return await get(house, caller, provider_id)


async def get(house: House, caller: Caller, provider_id: str) -> dict[str, Any]:
    """How it is set up, and how it is doing."""
    _require_operator(caller)
    await _require_provider(house, provider_id)
    row = await _one(house, provider_id)
    shown = {name: row[name] for name in ("provider_id", "brand_id", "channel", "template_key")}
    details = {
        "state": watching.state(row),
        "problem": watching.problem(row),
        "message_id": str(row["message_id"]) if row["message_id"] else None,
        "begun_at": show(row["begun_at"]) if row["begun_at"] else None,
        "well_at": show(row["well_at"]) if row["well_at"] else None,
        "sent_ms": _milliseconds(row["sent_seconds"]),
        "delivered_ms": _milliseconds(row["delivered_seconds"]),
    }
    return {
        **shown,
        "recipient": await watching.recipient(house, row),
        "every_seconds": int(row["every"].total_seconds()),
        "details": {name: value for name, value in details.items() if value is not None},
    }


async def remove(house: House, caller: Caller, provider_id: str) -> int:
    """No more of them; how many went."""
    _require_operator(caller)
    async with house.database.owner.acquire() as connection, connection.transaction():
        removed = await rows.remove(connection, provider_id)
        if removed:
            await setup.move_epoch(connection)
            await _note(house, connection, caller, provider_id, "canary_removed")
    return int(removed)


async def ping(house: House, caller: Caller, provider_id: str, patience: float) -> dict[str, Any]:
    """Send one now, and wait so many seconds for what becomes of it."""
    _require_operator(caller)
    await _require_provider(house, provider_id)
    await _one(house, provider_id)
    return await _ping(house, provider_id, patience)


async def ping_texts(house: House, caller: Caller, patience: float) -> dict[str, Any]:
    """One through each provider of texts that has a canary: were all delivered, and the slowest."""
    _require_operator(caller)
    found = await rows.found(house.database.owner, None)
    texting = [row["provider_id"] for row in found if row["channel"] == "sms"]
    if not texting:
        raise _no_canary("No provider of texts has a canary")
    said = await asyncio.gather(*(_ping(house, each, patience) for each in texting))
    return {
        "delivered": all(each["delivered"] for each in said),
        "latency_ms": max(each["latency_ms"] for each in said),
    }


async def _ping(house: House, provider_id: str, patience: float) -> dict[str, Any]:
    owner, now = house.database.owner, house.clock.sql_now()
    begun = await rows.begin(owner, now, provider_id)
    if not begun:  # another is being begun at this moment
        raise Refused(409, "in_flight", "A canary is being sent already; ask again.", {"Retry-After": "1"})
    asked = asyncio.get_running_loop().time()
    await watching.release(house, begun[0])
    while (waited := asyncio.get_running_loop().time() - asked) < patience and not house.draining.is_set():
        row, known = await _look(house, provider_id)
        took = known.delivered if row["reports"] else known.sent
        if known.problem or took is not None:
            seconds = waited if took is None else took
            return {"delivered": known.problem is None, "latency_ms": _milliseconds(seconds)}
        await asyncio.sleep(_LOOKS)
    return {"delivered": False, "latency_ms": _milliseconds(waited)}


async def _look(house: House, provider_id: str) -> tuple[asyncpg.Record, rows.Found]:
    """The last one; a worker that looked as well may be through with it."""
    for row in await rows.unsettled(house.database.owner, house.clock.sql_now(), provider_id):
        return row, await watching.look(house, row)
    row = await _one(house, provider_id)
    return row, rows.Found(row["settled"], row["problem"], row["sent_seconds"], row["delivered_seconds"])


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


async def _one(house: House, provider_id: str) -> asyncpg.Record:
    for row in await rows.found(house.database.owner, house.clock.sql_now(), provider_id):
        return row
    raise _no_canary("This provider has no canary")


def _no_canary(what: str) -> Refused:
    return Refused(422, "no_canary", f"{what}; set one up with PUT /v1/providers/{{provider_id}}/canary.")


def _require_operator(caller: Caller) -> None:
    if caller.brand_id != ANY:
        raise Refused(403, "forbidden", "Canaries are for a token for any brand (*).")


async def _require_provider(house: House, provider_id: str) -> None:
    if await house.setup.account(provider_id) is None:
        raise not_found("provider")


async def _note(house: House, connection: Any, caller: Caller, provider_id: str, event: str) -> None:
    by = (caller.actor, caller.request_id)
    await setup.note(connection, ANY, house.clock.now(), event, {"provider_id": provider_id}, by)
