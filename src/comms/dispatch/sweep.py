"""What must be done now and then: give lapsed claims back, end what waited too long."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from comms.actions.house import House
from comms.actions.setup import Setup
from comms.domain.retry import delay
from comms.providers.catalogue import KINDS
from comms.store import queue

_BITE = 500
_DEATHS = 2


async def sweep(house: House) -> None:
    """Once round. Safe by many at a time: each change is fenced or locks its rows."""
    await rescue(house)
    while await queue.expire_waiting(house.database.engine, house.clock.sql_now()) == _BITE:
        pass


async def rescue(house: House) -> None:
    """Claims whose worker went silent: sent by another, unless they may have been handed over."""
    await house.setup.refresh()
    now = house.clock.sql_now()
    for row in await queue.lapsed(house.database.engine, now):
        key = (row["bucket"], row["id"], row["attempt"])
        if await _is_safe(house.setup, row):
            await queue.rescue(house.database.engine, now, *key, _pause(row["attempt"]))
        else:
            await queue.lose_lapsed(house.database.engine, now, *key)


def _pause(attempt: int) -> timedelta:
    """None after a worker's death; growing where one after the other dies on the same message."""
    return timedelta(seconds=delay(attempt, 0.0)) if attempt > _DEATHS else timedelta()


async def _is_safe(setup: Setup, row: asyncpg.Record) -> bool:
    """May it be sent again? If nothing had begun, its key makes it safe, or its template prefers it."""
    if not row["begun"]:
        return True
    template = await setup.template_by_id(row["template_id"])
    if template is not None and template["on_unknown"] == "prefer_duplicate":
        return True
    accounts = [await setup.account(provider_id) for provider_id in row["begun"]]
    return all(account is not None and KINDS[account.kind].idempotent for account in accounts)
