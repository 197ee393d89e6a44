"""A person's items become visible in the order of their numbers: who has read up to one has missed none."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from comms.domain.content import Sealed
from comms.domain.ids import bucket_of
from comms.store import items
from comms.store.database import Database
from comms.testing import FakeClock

pytestmark = pytest.mark.anyio

WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


def item(number: int, person: bytes) -> items.InboxItem:
    new_id = UUID(int=number)
    return items.InboxItem(bucket_of(new_id), new_id, "loop", person, "news", Sealed(b"x"))


async def test_who_comes_later_waits_for_who_came_first(database: Database, clock: FakeClock) -> None:
    ada, bob, now = b"a" * 16, b"b" * 16, clock.now()
    async with database.engine.acquire() as first:
        begun = first.transaction()
        await begun.start()
        await items.put_in_inbox(first, [item(1, ada)], now)
        second = asyncio.create_task(items.put_in_inbox(database.engine, [item(2, bob), item(3, ada)], now))
        async with asyncio.timeout(5):
            while not await database.owner.fetchval(WAITING):
                assert not second.done()
        await items.put_in_inbox(database.engine, [item(4, b"c" * 16)], now)  # nobody else waits
        await begun.commit()
        await second
    numbers = await database.owner.fetch(
        "select id, n from inbox_item where person_hash = $1 order by n", ada
    )
    assert [row["id"].int for row in numbers] == [1, 3]
