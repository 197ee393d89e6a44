"""Providers with limits: kept by all workers together, in nobody else's way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from comms.actions import acceptance, brands, devices, messages
from comms.actions.acceptor import Acceptor
from comms.actions.house import House
from comms.actions.setup import Setup
from comms.clock import Clock
from comms.dispatch.gate import TOLERANCE, Gate, Slot, _apart
from comms.dispatch.instants import Instants
from comms.dispatch.worker import Worker
from comms.domain.brand import Routes
from comms.domain.caller import Caller
from comms.privacy.keyring import MasterKey
from comms.providers.base import Accepted, Outcome, Outgoing
from comms.settings import Settings
from comms.store import pace
from comms.testing import FakeClock
from tests.journeys.story import ask, events, status, tools
from tests.journeys.test_doubts import provide

__all__ = ["provide"]

pytestmark = pytest.mark.anyio


async def limit(house: House, caller: Caller, name: str, **limits: float) -> None:
    shared = {"baa": True, "limits": limits, "brands": None}
    await brands.put_provider(house, caller, name, name, {}, {}, **shared)  # type: ignore[arg-type]


async def due(
    house: House, caller: Caller, clock: FakeClock, count: int = 1, channel: str = "sms"
) -> list[str]:
    made = [
        await acceptance.schedule(house, caller, ask(clock, channel, dedup_key=f"{channel}-{n}"))
        for n in range(count)
    ]
    clock.advance(300)
    return [each.message["id"] for each in made]


async def others_hold(house: House, clock: FakeClock, calls: int) -> None:
    """A worker elsewhere has so many calls under way."""
    wish, lasts = pace.Wish(calls, calls, 0, None), timedelta(hours=1)
    await pace.lease(
        house.database.engine, clock.now(), "few", uuid4(), wish, lasts, calls, None, timedelta()
    )


@contextlib.asynccontextmanager
async def working(*workers: Worker) -> AsyncIterator[None]:
    """As they work in a process: until they are told to stop."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until_sent(house: House, caller: Caller, made: list[str]) -> None:
    async with asyncio.timeout(10):
        for each in made:
            while await status(house, caller, each) != "sent":  # noqa: ASYNC110 - see it go out
                await asyncio.sleep(0.01)


@pytest.fixture
def hasty(house: House) -> House:
    """The same house, in which time passes by itself."""
    master, clock = MasterKey(base64.b64encode(b"k" * 32).decode()), Clock()
    database = house.database
    return House(database, Setup(database, master, clock), Acceptor(database, clock), clock, Settings())


async def now(house: House, caller: Caller, count: int) -> list[str]:
    asked = ask(FakeClock(house.clock.now()), after=timedelta(milliseconds=10))
    return [
        (await acceptance.schedule(house, caller, replace(asked, dedup_key=f"now-{n}"))).message["id"]
        for n in range(count)
    ]


async def test_never_more_than_per_second_begin_in_any_second_over_two_workers(
    hasty: House, loop_health: Caller, provide: Any
) -> None:
    began: list[float] = []

    def takes(_: Outgoing) -> Outcome:
        began.append(time.monotonic())
        return Accepted("x")

    await provide("few", takes)
    await limit(hasty, loop_health, "few", per_second=20)
    made = await now(hasty, loop_health, 30)
    async with working(Worker(hasty, tools(hasty)), Worker(hasty, tools(hasty))):
        await until_sent(hasty, loop_health, made)
    assert len(began) == 30
    assert all(later - sooner >= 1 for sooner, later in zip(began, began[20:], strict=False))
    assert began[-1] - began[0] < 30 / 20 * 1.5


async def test_never_more_than_concurrency_are_under_way_over_three_workers(
    hasty: House, loop_health: Caller, provide: Any
) -> None:
    under_way = most = 0

    async def takes(_: Outgoing) -> Outcome:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return Accepted("x")

    provider = await provide("few", lambda _: Accepted("x"))
    provider.send = takes
    await limit(hasty, loop_health, "few", concurrency=3)
    made = await now(hasty, loop_health, 40)
    async with working(*(Worker(hasty, tools(hasty)) for _ in range(3))):
        await until_sent(hasty, loop_health, made)
    assert most == 3
    holders = await hasty.database.owner.fetchval("select holders from pace")
    assert holders == {}


async def test_one_that_gets_no_slot_in_its_lease_goes_back_to_its_place_and_was_never_marked(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    few = await provide("few", lambda _: Accepted("x"))
    await limit(house, loop_health, "few", concurrency=1)
    await others_hold(house, clock, 1)
    (made,) = await due(house, loop_health, clock)
    before = await house.database.owner.fetchval("select due_at from queue")
    trying = asyncio.create_task(worker.once())
    while await status(house, loop_health, made) != "sending":  # noqa: ASYNC110 - see it claimed
        await asyncio.sleep(0.001)
    clock.advance(house.settings.lease_seconds)
    await trying
    assert await events(house, loop_health, made) == ["accepted", "claimed", "deferred"]
    timeline = await messages.timeline(house, loop_health, UUID(made))
    assert timeline[-1]["details"]["reason"] == "provider_limit"
    row = await house.database.owner.fetchrow("select due_at, attempt - uncounted as tries from queue")
    assert row is not None
    assert (row["due_at"], row["tries"]) == (before, 0)
    assert await house.database.owner.fetchval("select count(*) from delivery") == 0
    clock.advance(3600)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert [call.attempt for call in few.called] == [1]


async def test_those_that_wait_for_a_slot_are_in_nobody_s_way(
    house: House, loop_health: Caller, clock: FakeClock, provide: Any
) -> None:
    await provide("few", lambda _: Accepted("x"))
    await limit(house, loop_health, "few", concurrency=1)
    await others_hold(house, clock, 1)
    brand = await house.setup.require_brand("loop")
    settings = msgspec.structs.replace(brand.settings, routes=Routes(email=["sand"], sms=["few"]))
    await brands.put_brand(house, loop_health, "loop", settings)
    waiting = await due(house, loop_health, clock, 8)
    (mail,) = await due(house, loop_health, clock, 1, "email")
    narrow = replace(house, settings=Settings(worker_concurrency=1))
    async with working(Worker(narrow, tools(house))):
        await until_sent(house, loop_health, [mail])
        stands = [await status(house, loop_health, each) for each in waiting]
    assert set(stands) <= {"scheduled", "sending"}
    assert stands.count("sending") <= 4  # no more are claimed than its slots are worth
    assert {await status(house, loop_health, each) for each in waiting} == {"scheduled"}


async def test_devices_wait_for_a_slot_each_and_never_for_one_another(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    few = await provide("few", lambda _: Accepted("x"))
    await limit(house, loop_health, "few", concurrency=1)
    for token in ("a", "b", "c"):
        await devices.put(house, loop_health, "loop", "p1", "fcm", token, None)
    for n in range(2):
        asked = ask(clock, "push", recipient="person", dedup_key=f"key-{n}")
        await acceptance.schedule(house, loop_health, asked)
    clock.advance(300)
    async with asyncio.timeout(10):
        assert await worker.once() == 2
    assert len(few.called) == 6


async def test_a_provider_without_limits_pays_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    (made,) = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert not await house.database.owner.fetchval("select count(*) from pace")


@pytest.mark.parametrize("per_second", [1, 3, 20, 333, 1_000_000])
def test_so_many_instants_span_a_second_however_late_the_first_call_is(per_second: int) -> None:
    assert (per_second * _apart(per_second)).total_seconds() - TOLERANCE >= 1


async def test_a_call_that_missed_its_instant_asks_for_another(house: House, clock: FakeClock) -> None:
    gate = Gate(house, uuid4(), Instants(clock), "few")
    gate.keep_to({"per_second": 10})
    slot = await gate.slot(clock.now(), 100.0)
    assert slot is not None
    assert slot.start == clock.now()
    clock.advance(TOLERANCE + 0.001)
    assert not gate.is_good(slot.start)
    missed = slot.start
    clock.advance(1)
    assert await slot.begins(100.0)
    assert slot.start > missed + timedelta(seconds=TOLERANCE)
    slot.end()


async def test_slots_that_a_paused_worker_held_are_worth_nothing_when_it_wakes(
    house: House, clock: FakeClock
) -> None:
    owner = uuid4()
    gate = Gate(house, owner, Instants(clock), "few")
    gate.keep_to({"concurrency": 2})
    slot = await gate.slot(clock.now(), 100.0)
    assert isinstance(slot, Slot)
    assert slot.is_good()
    clock.advance(house.settings.lease_seconds)
    assert not slot.is_good()
    await others_hold(house, clock, 2)
    calling = asyncio.create_task(slot.begins(clock.monotonic()))
    ours = "select (holders -> $1 ->> 3)::int from pace"
    while await house.database.owner.fetchval(ours, str(owner)) != 0:
        assert not calling.done()
    clock.advance(1)
    assert not await calling
    slot.end()
    await gate.idle()


async def test_lifetime_is_what_is_left_of_max_late(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    first = await provide("first", lambda _: Accepted("x"))
    await acceptance.schedule(house, loop_health, ask(clock))
    clock.advance(300 + 3600)
    await worker.once()
    assert [call.lifetime for call in first.called] == [3 * 3600]
