"""Closes the ledger piece by piece, so that what was written can be proved, and told to others in order.

Numbers are given out in the order of writing and committed in another. So: how many numbers are there;
who may still hold one of them; and when those have ended, all up to there is known. Whoever wrote had
locked the table before it took a number (the same reasoning as of CREATE INDEX CONCURRENTLY), and so is
seen. Many may close at a time: two who do make the same link, and one of them stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from comms.actions.house import House
from comms.store import audit

log = structlog.get_logger()

_EVERY = 1.0
_MOST = 5000
"""Entries a link."""

_LOOK_SECONDS = 0.01
_LOOKS = 200


async def close(house: House) -> int:
    """Close what was written until now; how many entries. What is held up waits for the next time."""
    engine, closed = house.database.engine, 0
    up_to = await audit.written(engine)
    if up_to <= await audit.closed(engine) or not await _all_known(house):
        return 0
    while made := await audit.close(engine, house.clock.sql_now(), up_to, _MOST):
        closed += made
    return closed


async def _all_known(house: House) -> bool:
    """Have those who were writing a moment ago ended?"""
    engine = house.database.engine
    writing = await audit.writers(engine)
    for _ in range(_LOOKS):
        if not writing:
            return True
        await asyncio.sleep(_LOOK_SECONDS)
        writing &= await audit.writers(engine)
    return False


async def keep_closing(house: House, tell: Callable[[], None]) -> None:
    """Until cancelled; `tell` is called when there is something new to be told."""
    while True:
        try:
            if await close(house):
                tell()
        except Exception as error:  # noqa: BLE001 - the database is away, mostly: it is repeated
            log.warning("closing_waits", problem=type(error).__name__)
        await asyncio.sleep(_EVERY)
