"""What must be done now and then: give lapsed claims back, end what waited too long."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from comms.actions import events
from comms.actions.house import House
from comms.actions.setup import Setup
from comms.domain.decision import TOO_LATE
from comms.domain.outcome import Standing, event, standing
from comms.domain.retry import delay
from comms.store import queue, workers

_BITE = 500
_DEATHS = 2

SILENCE = timedelta(seconds=8)
"""Workers report each second. With the time between two sweeps it is the most that a worker's death costs."""


async def sweep(house: House, ours: Collection[UUID] = ()) -> None:
    """Once round. Safe by many at a time: each change is fenced or locks its rows.

    `ours` are messages that this process still sees through.
    """
    await rescue(house, ours)
    engine, now = house.database.engine, house.clock.sql_now()
    expired = _BITE
    while expired == _BITE:
        expired = await queue.expire_waiting(engine, now, TOO_LATE.words(), house.setup.held, _BITE)
        house.metrics.ended.add("expired", by=expired)
    await workers.forget(engine)


async def rescue(house: House, ours: Collection[UUID] = ()) -> None:
    """Claims whose worker went silent: sent by another, unless they may have been handed over.

    What was not begun has no need to wait for the end of the lease: who only slept finds it gone.
    """
    await house.setup.refresh()
    now = house.clock.sql_now()
    for row in await queue.lapsed(house.database.engine, now, ours, SILENCE):
        key = (row["bucket"], row["id"], row["attempt"])
        standings = [await _standing(house.setup, row, each) for each in row["deliveries"]]
        if standings and event(standings, stopped=None) == "lose":
            async with house.database.engine.acquire() as connection, connection.transaction():
                lost = await queue.lose_lapsed(connection, now, *key)
                await events.settle(house, connection, [key[:2]])
            house.metrics.ended.add("unknown", by=lost)
        else:
            pause = _pause(row["attempt"] - row["uncounted"])
            rescued = await queue.rescue(house.database.engine, now, *key, pause)
            house.metrics.ended.add("retried", by=rescued)


def _pause(attempt: int) -> timedelta:
    """None after a worker's death; growing where one after the other dies on the same message."""
    return timedelta(seconds=delay(attempt, 0.0)) if attempt > _DEATHS else timedelta()


async def _standing(setup: Setup, row: asyncpg.Record, delivery: dict[str, Any]) -> Standing:
    template = await setup.template_by_id(row["template_id"])
    account = await setup.account(delivery["provider_id"])
    return standing(
        delivery["outcome"],
        delivery["doubts"],
        idempotent=account is not None and account.may_be_asked_again(row["deadline"] - row["scheduled_at"]),
        prefers_duplicate=template is not None and template["on_unknown"] == "prefer_duplicate",
    )
