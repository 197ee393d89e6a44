"""What all workers together hand to a provider with limits: one row decides."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from comms.store import pace
from comms.store.database import Database

pytestmark = pytest.mark.anyio

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
AHEAD = timedelta(seconds=0.25)
A, B = UUID(int=1), UUID(int=2)


async def lease(
    database: Database,
    owner: UUID,
    busy: int,
    wanted: int,
    *,
    of: int | None = 10,
    starts: int = 0,
    apart: timedelta | None = None,
    now: datetime | None = NOON,
    from_at: datetime | None = None,
) -> Any:
    wish = pace.Wish(busy, wanted, starts, from_at)
    return await pace.lease(database.engine, now, "p", owner, wish, LEASE, of, apart, AHEAD)


async def test_nobody_gets_what_another_holds(database: Database) -> None:
    assert (await lease(database, A, 0, 8)).may == 8
    assert (await lease(database, B, 0, 8)).may == 2


async def test_who_has_more_than_its_part_gives_back_as_its_calls_end(database: Database) -> None:
    await lease(database, A, 0, 20)
    assert (await lease(database, B, 0, 20)).may == 0
    still = await lease(database, A, 10, 20)
    assert (still.held, still.may) == (10, 5)
    assert (await lease(database, B, 0, 20)).may == 0
    assert (await lease(database, A, 5, 20)).held == 5
    assert (await lease(database, B, 0, 20)).may == 5


async def test_where_there_is_less_than_one_each_they_take_turns(database: Database) -> None:
    assert (await lease(database, A, 0, 5, of=1)).may == 1
    assert (await lease(database, B, 0, 5, of=1)).may == 0
    assert (await lease(database, A, 1, 5, of=1)).may == 0
    assert (await lease(database, B, 0, 5, of=1)).may == 0
    assert (await lease(database, A, 0, 5, of=1)).held == 0
    assert (await lease(database, B, 0, 5, of=1)).may == 1


async def test_what_a_dead_worker_held_is_free_when_its_lease_ends(database: Database) -> None:
    await lease(database, A, 10, 10)
    assert (await lease(database, B, 0, 10, now=NOON + LEASE - timedelta(milliseconds=1))).may == 0
    assert (await lease(database, B, 0, 10, now=NOON + LEASE)).may == 10


async def test_instants_are_given_away_once_and_not_far_ahead(database: Database) -> None:
    apart = timedelta(milliseconds=100)
    first = await lease(database, A, 0, 0, of=None, starts=2, apart=apart)
    second = await lease(database, B, 0, 0, of=None, starts=9, apart=apart)
    assert first.starts == [NOON, NOON + apart]
    assert second.starts == [NOON + 2 * apart]
    assert second.next_at == NOON + 3 * apart
    later = NOON + timedelta(seconds=9)
    assert (await lease(database, B, 0, 0, of=None, starts=1, apart=apart, now=later)).starts == [later]
    due_at = later + timedelta(milliseconds=150)
    due = await lease(database, A, 0, 0, of=None, starts=1, apart=apart, now=later, from_at=due_at)
    assert due.starts == [due_at]


async def test_many_at_once_never_hold_more_than_there_is(database: Database) -> None:
    """A statement that reckoned from its snapshot, and not from the row that it has locked, would."""
    apart, chance = timedelta(milliseconds=7), random.Random(4711)
    under_way: dict[UUID, int] = {}
    starts: list[datetime] = []

    async def work(owner: UUID) -> None:
        under_way[owner] = 0
        for _ in range(60):
            wanted = under_way[owner] + chance.randrange(6)
            had = await lease(
                database, owner, under_way[owner], wanted, of=5, starts=3, apart=apart, now=None
            )
            under_way[owner] = chance.randrange(max(had.may, 0) + 1)
            assert sum(under_way.values()) <= 5
            starts.extend(had.starts)

    await asyncio.gather(*(work(uuid4()) for _ in range(6)))
    starts.sort()
    assert len(starts) > 10
    assert all(later - sooner >= apart for sooner, later in pairwise(starts))
