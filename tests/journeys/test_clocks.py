"""The database's clock decides what is due and whose a claim is, whatever the machine's own says."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from comms.actions import messages
from comms.actions.house import House
from comms.clock import Clock
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.schedule import show
from comms.testing import FakeClock
from tests.journeys.story import ask, schedule, status

pytestmark = pytest.mark.anyio


class Off(Clock):
    """The machine's clock, an hour wrong."""

    def __init__(self, hours: int) -> None:
        self.off = timedelta(hours=hours)

    def now(self) -> datetime:
        return super().now() + self.off


class TestOfAWrongClock:
    @pytest.fixture(params=[-1, 1], ids=["behind", "ahead"])
    def clock(self, request: pytest.FixtureRequest) -> Off:
        return Off(request.param)

    async def in_minutes(self, house: House, caller: Caller, minutes: float) -> str:
        at = show(Clock().now() + timedelta(minutes=minutes))
        return await schedule(house, caller, ask(FakeClock(), scheduled_at=at, dedup_key=str(minutes)))

    async def test_nothing_goes_early_or_late(
        self, house: House, loop_health: Caller, worker: Worker
    ) -> None:
        early, due = [await self.in_minutes(house, loop_health, minutes) for minutes in (30, -0.1)]
        assert await worker.once() == 1
        assert [await status(house, loop_health, each) for each in (early, due)] == ["scheduled", "sent"]

    async def test_a_claim_is_kept_for_its_lease(
        self, house: House, loop_health: Caller, worker: Worker
    ) -> None:
        due = await self.in_minutes(house, loop_health, -0.1)
        await worker._take(1)
        await sweep(house)
        assert await status(house, loop_health, due) == "sending"
        assert await house.database.owner.fetchval(
            "select lease_until between now() and now() + interval '31 seconds' from queue"
        )


async def test_what_is_accepted_for_an_earlier_time_than_others_had_is_found(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """A claim looks from a lower bound on; work may appear below it."""
    first = await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        await until_sent(house, loop_health, first)
        past = ask(clock, after=timedelta(hours=-1), dedup_key="past")
        await until_sent(house, loop_health, await schedule(house, loop_health, past))
    finally:
        stop.set()
        await running


async def until_sent(house: House, caller: Caller, message_id: str) -> None:
    async with asyncio.timeout(4):
        while (await messages.get_scheduled(house, caller, UUID(message_id)))["status"] != "sent":  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
