"""A brand on hold: after the answer no call starts for it, and nothing of it is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from comms.actions import acceptance, brands, messages
from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.schedule import DEFAULT_MAX_LATE
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing
from comms.store import workers
from comms.testing import FakeClock
from tests.journeys.story import ask, events, outbox, status
from tests.journeys.test_doubts import provide, route

__all__ = ["provide"]

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=30)


async def due(house: House, caller: Caller, clock: FakeClock, **changes: Any) -> str:
    made = await acceptance.schedule(house, caller, ask(clock, **changes))
    clock.advance(300)
    message_id: str = made.message["id"]
    return message_id


async def hold(house: House, caller: Caller, worker: Worker) -> None:
    """With a worker that has worked: it says that it knows."""
    holding = asyncio.create_task(brands.hold(house, caller, "loop"))
    await heard(house)
    await worker._report()
    await holding


async def heard(house: House) -> None:
    """Once the hold is committed and this process has read it."""
    while "loop" not in house.setup.held:
        await house.database.engine.fetchval("select 1")
        await house.setup.refresh()


async def test_nothing_of_a_held_brand_is_claimed_until_it_is_released(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await due(house, loop_health, clock)
    shown = await brands.hold(house, loop_health, "loop")
    assert shown["held_at"]
    assert await worker.once() == 0
    assert await events(house, loop_health, made) == ["accepted"]
    shown = await brands.release(house, loop_health, "loop", send_late=False)
    assert "held_at" not in shown
    assert await worker.once() == 1
    assert await status(house, loop_health, made) == "sent"


async def test_what_was_claimed_and_not_begun_goes_back(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await due(house, loop_health, clock)
    (claim,), lease_ends = await worker._take(1), worker._lease_ends()
    holding = asyncio.create_task(brands.hold(house, loop_health, "loop"))
    await heard(house)
    await worker._pipeline.deliver(claim, lease_ends)
    await worker._report()
    await holding
    assert await events(house, loop_health, made) == ["accepted", "claimed", "attempted", "held"]
    assert await status(house, loop_health, made) == "scheduled"
    assert await outbox(house, loop_health) == []
    await brands.release(house, loop_health, "loop", send_late=False)
    assert await worker.once() == 1
    assert await status(house, loop_health, made) == "sent"


async def test_the_next_of_the_route_is_not_called_either(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    async def is_held_meanwhile(_outgoing: Outgoing) -> Outcome:
        await house.database.owner.execute("update brand set held_at = now()")
        await house.database.owner.execute("update installation set epoch = epoch + 1")
        house.setup.doubt()
        await house.setup.refresh()
        return Misconfigured("login_refused")

    first = await provide("first", lambda _: Accepted("x"))
    first.send = is_held_meanwhile
    await route(house, loop_health, "first", "sand")
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    assert await outbox(house, loop_health) == []


async def test_it_waits_for_each_live_worker_to_say_that_it_knows(
    house: House, loop_health: Caller, worker: Worker
) -> None:
    await worker._report()
    holding = asyncio.create_task(brands.hold(house, loop_health, "loop"))
    await heard(house)
    assert not holding.done()
    await worker._report()
    await holding


async def test_it_waits_for_nobody_whose_lease_has_run_out(house: House, loop_health: Caller) -> None:
    await workers.report(house.database.engine, uuid4(), 0, timedelta(seconds=-1), None)
    await brands.hold(house, loop_health, "loop")


async def test_held_twice_is_held_once(house: House, loop_health: Caller, clock: FakeClock) -> None:
    first = await brands.hold(house, loop_health, "loop")
    clock.advance(60)
    assert await brands.hold(house, loop_health, "loop") == first


@pytest.mark.parametrize(("send_late", "ends"), [(True, "sent"), (False, "expired")])
async def test_what_a_hold_has_made_late(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    send_late: bool,  # noqa: FBT001 - a parameter of the test
    ends: str,
) -> None:
    made = await due(house, loop_health, clock)
    await brands.hold(house, loop_health, "loop")
    clock.advance(86_400)
    await house.setup.refresh()
    await sweep(house)
    assert await status(house, loop_health, made) == "scheduled"
    await brands.release(house, loop_health, "loop", send_late=send_late)
    await sweep(house)
    await worker.once()
    assert await status(house, loop_health, made) == ends


async def test_a_held_brand_still_takes_and_cancels_messages(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await brands.hold(house, loop_health, "loop")
    made = await due(house, loop_health, clock)
    shown = await messages.cancel(house, loop_health, UUID(made))
    assert shown["status"] == "cancelled"


async def test_what_a_hold_made_late_is_not_asked_for_with_a_key_that_might_be_forgotten(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    keyed = await provide("keyed", lambda _: Lost("reset"), idempotent=True, key_lasts=DEFAULT_MAX_LATE + 1)
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    await hold(house, loop_health, worker)
    clock.advance(2 * DEFAULT_MAX_LATE)
    await brands.release(house, loop_health, "loop", send_late=True)
    await worker.once()
    assert await status(house, loop_health, made) == "unknown"
    assert len(keyed.called) == 1
