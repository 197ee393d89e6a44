"""Nothing is answered, and nobody is called, before it is on disk: told by triggers that go off at the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from comms.actions import acceptance, messages
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.schedule import show
from comms.testing import FakeClock
from tests.journeys.story import ask, schedule, status

pytestmark = pytest.mark.anyio

UNSAFE = "current_setting('synchronous_commit') <> 'on' or current_setting('fsync') <> 'on'"
TABLES = ("dedup", "message", "queue", "delivery", "ledger")


@asynccontextmanager
async def refusing(house: House, tables: tuple[str, ...], condition: str) -> AsyncIterator[None]:
    """While this holds, a commit that touches one of the tables fails where the condition is met."""
    owner = house.database.owner
    await owner.execute(
        f"create function refuse() returns trigger language plpgsql as $$ begin if {condition} then "
        "raise exception 'refused at the commit'; end if; return null; end $$"
    )
    for table in tables:
        await owner.execute(
            f"create constraint trigger refuse after insert or update or delete on {table} "
            "deferrable initially deferred for each row execute function refuse()"
        )
    try:
        yield
    finally:
        await owner.execute("drop function refuse() cascade")


async def test_every_commit_of_a_message_s_life_waits_for_the_disk(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    async with refusing(house, TABLES, UNSAFE):
        sent, cancelled = [await schedule(house, loop_health, ask(clock, dedup_key=key)) for key in "ab"]
        later = show(clock.now() + timedelta(minutes=6))
        await messages.change(house, loop_health, UUID(sent), messages.Change(scheduled_at=later))
        await messages.cancel(house, loop_health, UUID(cancelled))
        clock.advance(360)
        assert await worker.once() == 1
    assert [await status(house, loop_health, each) for each in (sent, cancelled)] == ["sent", "cancelled"]


Asks = Callable[[House, Caller, FakeClock, UUID], Awaitable[Any]]


async def another(house: House, caller: Caller, clock: FakeClock, _: UUID) -> Any:
    return await acceptance.schedule(house, caller, ask(clock, dedup_key="another"))


async def cancel(house: House, caller: Caller, _: FakeClock, made: UUID) -> Any:
    return await messages.cancel(house, caller, made)


async def move(house: House, caller: Caller, clock: FakeClock, made: UUID) -> Any:
    later = show(clock.now() + timedelta(hours=1))
    return await messages.change(house, caller, made, messages.Change(scheduled_at=later))


@pytest.mark.parametrize("asks", [another, cancel, move])
async def test_what_is_not_committed_is_not_answered(
    house: House, loop_health: Caller, clock: FakeClock, asks: Asks
) -> None:
    made = UUID(await schedule(house, loop_health, ask(clock)))
    before = await messages.get_scheduled(house, loop_health, made)
    async with refusing(house, ("ledger",), "true"):
        with pytest.raises(asyncpg.RaiseError):
            await asks(house, loop_health, clock, made)
    assert await messages.get_scheduled(house, loop_health, made) == before
    assert await house.database.owner.fetchval("select count(*) from message") == 1


async def test_the_same_key_many_times_in_one_group_is_one_message(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    """Both writers are kept busy until the group is together: its rows see nothing of each other."""
    groups = house.acceptor._groups
    async with house.database.owner.acquire() as connection, connection.transaction():
        await connection.execute("lock table dedup in exclusive mode")
        busy = [asyncio.create_task(schedule(house, loop_health, ask(clock, dedup_key=key))) for key in "ab"]
        while groups._busy < 2 or groups._waiting:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        same = [asyncio.create_task(schedule(house, loop_health, ask(clock))) for _ in range(10)]
        while len(groups._waiting) < 10:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    assert len(set(await asyncio.gather(*same))) == 1
    await asyncio.gather(*busy)
