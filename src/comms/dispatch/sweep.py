"""What must be done now and then: give lapsed claims back, end what waited too long."""

from __future__ import annotations

import asyncpg

from comms.actions.house import House
from comms.actions.setup import Setup
from comms.providers.catalogue import KINDS
from comms.store import queue

_BITE = 500


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
        give_back = queue.rescue if await _is_safe(house.setup, row) else queue.lose_lapsed
        await give_back(house.database.engine, now, row["bucket"], row["id"], row["attempt"])


async def _is_safe(setup: Setup, row: asyncpg.Record) -> bool:
    """May it be sent again? If nothing had begun, its key makes it safe, or its template prefers it."""
    if not row["begun"]:
        return True
    template = await setup.template_by_id(row["template_id"])
    if template is not None and template["on_unknown"] == "prefer_duplicate":
        return True
    accounts = [await setup.account(provider_id) for provider_id in row["begun"]]
    return all(account is not None and KINDS[account.kind].idempotent for account in accounts)
