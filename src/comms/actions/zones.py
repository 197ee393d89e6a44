"""What was promised for a time on the wall is kept when a zone's rules change."""

from __future__ import annotations

from datetime import datetime

import asyncpg
import structlog

from comms.actions.house import House
from comms.domain import zones
from comms.store import zoned

log = structlog.get_logger()

_PAGE = 1000


async def keep_promises(house: House) -> int:
    """Move what waits to when the clocks now show what was promised; how many moved.

    Looks only where the rules are other than last time. Safe by many at a time: each move is of a
    message that still stands where it was read.
    """
    engine, release, moved = house.database.engine, zones.release(), 0
    if await zoned.rules(engine) == release:
        return 0
    after = zoned.BEGINNING
    while page := await zoned.waiting(engine, after, _PAGE):
        after = (page[-1]["bucket"], page[-1]["id"])
        promised = [row for row in page if row["is_promised"]]
        moves = [zoned.Move(row["bucket"], row["id"], row["scheduled_at"], _instant(row)) for row in promised]
        moves = [each for each in moves if each.was != each.instant]
        if moves:
            moved += await zoned.move(engine, moves, house.clock.sql_now())
    await zoned.keep_rules(house.database.owner, release)
    if moved:
        log.warning("moved_with_their_zones", messages=moved, rules=release)
        house.acceptor.wake()
    return moved


def _instant(row: asyncpg.Record) -> datetime:
    return zones.instant(row["wall"], row["zone"], near=row["scheduled_at"])
