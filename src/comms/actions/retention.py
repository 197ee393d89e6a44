"""Content that nobody needs any more is erased, in small bites; counts and hashes stay.

A walk goes along each brand's messages in the order in which they were accepted, up to those that are old
enough, and remembers where it is. What has not ended by then, or not for long enough, is kept in mind and
looked at again when its time has come. So each message is read once or twice in its life, whatever lies
between, and nothing that waits is touched. Tables that have no order in time are gone through once a day,
some pages at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog

from comms.actions.events import reference
from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.brand import BrandSettings
from comms.domain.ids import first_id
from comms.store import retention as rows
from comms.store import setup as setup_rows
from comms.store.database import Connection

log = structlog.get_logger()

_BITE = 500
_WINDOW = 5000
_PAGES = 64
_PAUSE = 0.1
"""Seconds between bites, or as long as the last one took: 5,000 messages a second at most."""

_REPEATED = timedelta(days=30)
"""For how long what a provider said is known again. Vendors repeat for days at most, Amazon SNS for 23."""

_A_DAY = timedelta(days=1)
_CLOCKS_APART = timedelta(hours=1)


class Kept(NamedTuple):
    """One class of a brand's messages, and for how long after its end their content is kept."""

    brand_id: str
    hipaa: bool
    lasts: timedelta


class _Others(Exception):
    """It is another worker's turn, or nobody knows what time it is."""


async def keep(house: House, owner: UUID, pause: float = _PAUSE) -> Counter[str]:
    """Erase all that is over; how many rows, by table. One worker at a time does."""
    erased: Counter[str] = Counter()
    try:
        kept = await classes(house)
        for each in kept:
            for bite in (_walked, _waited):
                goes_on = True
                while goes_on:
                    began = house.clock.monotonic()
                    goes_on = await bite(house, owner, each, erased)
                    await asyncio.sleep(max(pause, house.clock.monotonic() - began) if goes_on else 0)
        await _paged(house, owner, kept, erased, pause)
    except _Others:
        pass
    erased = +erased
    for table, count in erased.items():
        house.metrics.erased.add(table, by=count)
    if erased:
        log.info("retention_erased", **erased)
    return erased


async def classes(house: House) -> list[Kept]:
    """What is not kept for ever."""
    return [kept for brand in await brands(house) for kept in _classes(brand)]


async def brands(house: House) -> list[Brand]:
    """All brands as they are set up now."""
    await house.setup.refresh()
    found = await setup_rows.many(house.database.owner, "brands", "*")
    return [await house.setup.require_brand(row["brand_id"]) for row in found]


def _classes(brand: Brand) -> Iterator[Kept]:
    for hipaa in (False, True):
        lasts = brand.settings.keeps_for(hipaa=hipaa)
        if lasts is not None:
            yield Kept(brand.brand_id, hipaa, lasts)


async def _turn(house: House, connection: Connection, owner: UUID) -> rows.Turn:
    """By the database's clock, where ours agrees about the hour: what is erased does not come back."""
    turn = await rows.take_turn(connection, owner, house.clock.sql_now())
    if turn is None:
        raise _Others
    if abs(turn.now - house.clock.now()) > _CLOCKS_APART:
        log.error("retention_waits", problem="our clock and the database's are more than an hour apart")
        raise _Others
    return turn


async def _walked(house: House, owner: UUID, kept: Kept, erased: Counter[str]) -> bool:
    """The next messages in the order of their acceptance; True where there may be more."""
    async with house.database.engine.acquire() as connection, connection.transaction():
        now = (await _turn(house, connection, owner)).now
        after = await rows.up_to(connection, kept.brand_id, hipaa=kept.hipaa)
        found = await rows.passed(connection, kept.brand_id, after, first_id(now - kept.lasts), _BITE)
        if found:
            await _sort(connection, kept, found, now, erased)
            await rows.reach(connection, kept.brand_id, found[-1].id, hipaa=kept.hipaa)
    return len(found) == _BITE


async def _waited(house: House, owner: UUID, kept: Kept, erased: Counter[str]) -> bool:
    """Messages that were too young when the walk went past; True where there may be more."""
    async with house.database.engine.acquire() as connection, connection.transaction():
        now = (await _turn(house, connection, owner)).now
        found = await rows.waited(connection, kept.brand_id, now - kept.lasts, _BITE, hipaa=kept.hipaa)
        if found:
            await _sort(connection, kept, found, now, erased)
    return len(found) == _BITE


async def _sort(
    connection: Connection, kept: Kept, found: list[rows.Seen], now: datetime, erased: Counter[str]
) -> None:
    """Erase what is over; keep the rest in mind."""
    ours = [each for each in found if each.hipaa == kept.hipaa]
    over = [(each.bucket, each.id) for each in ours if _is_over(each, now - kept.lasts)]
    gone = set(await _erase(connection, kept, over, now, erased) if over else ())
    young = [
        (each.bucket, each.id, each.ended_at or now) for each in ours if (each.bucket, each.id) not in gone
    ]
    await rows.keep_in_mind(connection, kept.brand_id, young, hipaa=kept.hipaa)


def _is_over(seen: rows.Seen, end: datetime) -> bool:
    return seen.ended_at is not None and seen.ended_at <= end


async def _erase(
    connection: Connection, kept: Kept, over: list[rows.Key], now: datetime, erased: Counter[str]
) -> list[rows.Key]:
    gone = await rows.erase(connection, over)
    if gone:
        deliveries = await rows.erase_deliveries(connection, gone)
        named = [
            reference(row["provider_id"], row["reference"], row["message_id"], row["n"])
            for row in deliveries
            if row["reference"]
        ]
        await rows.forget_references(connection, named)
        erased["message"] += len(gone)
        erased["delivery"] += len(deliveries)
        erased["inbox_item"] += await rows.erase_items(connection, gone)
        await rows.forget(connection, gone)
        await rows.note(connection, kept.brand_id, now, {"messages": len(gone), "hipaa": kept.hipaa})
    return gone


async def _paged(house: House, owner: UUID, kept: list[Kept], erased: Counter[str], pause: float) -> None:
    """Once a day, the tables that have no order in time; broken off, from their beginning again."""
    async with house.database.engine.acquire() as connection, connection.transaction():
        turn = await _turn(house, connection, owner)
    if turn.now - turn.paged_at < _A_DAY:
        return
    general = [each for each in kept if not each.hipaa]
    ends = [each.brand_id for each in general], [turn.now - each.lasts for each in general]
    given: dict[str, tuple[object, ...]] = {"provider_event": (turn.now - _REPEATED,)}
    if kept:
        given |= {"sandbox_item": (), "inbox_item": ends}
    for table, values in given.items():
        for first in range(0, await rows.pages(house.database.engine, table), _PAGES):
            began = house.clock.monotonic()
            async with house.database.engine.acquire() as connection, connection.transaction():
                await _turn(house, connection, owner)
                erased[table] += await rows.prune(connection, table, first, first + _PAGES, *values)
            await asyncio.sleep(max(pause, house.clock.monotonic() - began))
    await rows.paged(house.database.engine, turn.now)


class Over(NamedTuple):
    """How many of a brand's messages have content that is over, and how many of these are health data's."""

    brand_id: str
    messages: int
    hipaa: int


async def foresee(house: House, brand_id: str, settings: BrandSettings) -> Over:
    """What would be erased now if the brand had these settings."""
    plain, hipaa = settings.keeps_for(hipaa=False), settings.keeps_for(hipaa=True)
    now, after, found = house.clock.now(), rows.BEGINNING, Over(brand_id, 0, 0)
    lasting = [each for each in (plain, hipaa) if each is not None]
    if not lasting:
        return found
    ends = tuple(None if each is None else now - each for each in (plain, hipaa))
    before = first_id(now - min(lasting))
    while True:
        window = await rows.weigh(house.database.owner, brand_id, after, before, ends[0], ends[1], _WINDOW)
        found = Over(brand_id, found.messages + window.plain + window.hipaa, found.hipaa + window.hipaa)
        if window.seen < _WINDOW or window.last is None:
            return found
        after = window.last
