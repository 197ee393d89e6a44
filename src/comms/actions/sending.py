"""Sending as a whole: paused where the database has lost what it acknowledged, and resumed by an operator.

Messages are accepted, changed and cancelled meanwhile. What was due before the pause may have been sent in
the history that is lost; who resumes says what becomes of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from comms.actions.house import House
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.store import history as rows
from comms.store.history import State

Choice = Literal["send", "expire", "safe"]

_BITE = 500

_BECAUSE = {
    rows.COMMITS_LOST: "the database lacks commits that a worker saw acknowledged: it was restored, "
    "or a standby without them was promoted",
    rows.NOBODY_REMEMBERS: "the database lives in another history than before, and no worker "
    "remembers enough to say that nothing is missing",
    rows.RESTORED: "an operator said that the database was restored",
}


class Doubtful(NamedTuple):
    """Messages of a template that may have been sent. `is_safe`: a second call is no second message."""

    brand_id: str
    template_key: str
    channel: str
    messages: int
    is_safe: bool
    template_id: UUID


def because(state: State) -> str | None:
    """Why nothing is sent, in words; None: it is."""
    return _BECAUSE[state.paused_reason] if state.paused_reason else None


async def pause(house: House, caller: Caller) -> bool:
    """The database was restored: nothing is sent until somebody resumes. False: it was paused already."""
    now = house.clock.sql_now()
    return await rows.pause(house.database.owner, rows.RESTORED, now, caller.actor, caller.request_id)


async def doubtful(house: House) -> list[Doubtful]:
    """What was due before the pause, by template."""
    return [
        await _doubtful(house, row)
        for row in await rows.doubtful(house.database.owner, house.clock.sql_now())
    ]


async def resume(house: House, caller: Caller, choice: Choice) -> int:
    """Send again. How many messages were given up: all that are doubtful (`expire`), those that are not safe
    to be sent again (`safe`), none (`send`). Refused while a claim stands: it may hide one that is doubtful.
    """
    if (await rows.state(house.database.owner)).paused_at is None:
        raise Refused(409, "not_paused", "Sending is not paused.")
    if claimed := await rows.claimed(house.database.owner):
        raise Refused(
            409,
            "claims_open",
            f"{claimed} messages are under a claim still: a worker gives them back when its lease is over. "
            "Start one if none runs; it sends nothing.",
        )
    found = [] if choice == "send" else await doubtful(house)
    templates = [each.template_id for each in found if choice == "expire" or not each.is_safe]
    by = (house.clock.sql_now(), caller.actor, caller.request_id)
    expired, bite = 0, _BITE
    while templates and bite == _BITE:
        async with house.database.owner.acquire() as connection, connection.transaction():
            bite = await rows.give_up(connection, templates, *by, _BITE)
        expired += bite
    async with house.database.owner.acquire() as connection, connection.transaction():
        await rows.resume(connection, {"doubtful": choice, "expired": expired}, *by)
    house.metrics.ended.add("expired", by=expired)
    return expired


async def _doubtful(house: House, row: asyncpg.Record) -> Doubtful:
    brand = await house.setup.require_brand(row["brand_id"])
    route = await house.setup.route(brand, row["channel"], hipaa=False)
    span = timedelta(seconds=row["behind"] + row["max_late"])
    is_safe = bool(route) and all(each.may_be_asked_again(span) for each in route)
    named = (row["brand_id"], row["key"], row["channel"], row["messages"])
    return Doubtful(*named, is_safe, row["template_id"])
