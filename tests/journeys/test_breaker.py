"""Providers that are ill are left alone; one call at a time finds out whether they are well again."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from comms.actions import acceptance, brands, health, messages, metrics
from comms.actions.house import House
from comms.dispatch.breaker import RUN
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.testing import FakeClock
from tests.journeys.story import ask, events, outbox, status, tools
from tests.journeys.test_doubts import provide, route

__all__ = ["provide"]

pytestmark = pytest.mark.anyio

REFUSED = Misconfigured("login_refused")
BUSY = TryLater("busy")


async def due(house: House, caller: Caller, clock: FakeClock, count: int = 1, first: int = 0) -> list[str]:
    made = [
        await acceptance.schedule(house, caller, ask(clock, dedup_key=f"key-{first + n}"))
        for n in range(count)
    ]
    clock.advance(300)
    return [each.message["id"] for each in made]


async def ill(house: House, caller: Caller, clock: FakeClock, worker: Worker, provider: Any) -> str:
    """Refused for its set-up once."""
    provider.says = lambda _: REFUSED
    (made,) = await due(house, caller, clock, first=1000)
    await worker.once()
    assert len(provider.called) == 1
    return made


async def test_a_refused_set_up_is_found_out_once_and_what_else_is_due_waits_untouched(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    bad = await provide("bad", lambda _: REFUSED)
    await ill(house, loop_health, clock, worker, bad)
    waiting = await due(house, loop_health, clock, 3)
    clock.advance(-299)
    assert await worker.once() == 0
    assert len(bad.called) == 1
    assert [await events(house, loop_health, each) for each in waiting] == [["accepted"]] * 3


async def test_one_call_of_all_workers_finds_out_and_then_all_go(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    bad = await provide("bad", lambda _: REFUSED)
    first = await ill(house, loop_health, clock, worker, bad)
    made = await due(house, loop_health, clock, 3)
    workers = [worker, *(Worker(house, tools(house)) for _ in range(3))]
    await asyncio.gather(*(each.once() for each in workers))
    assert len(bad.called) == 2
    await asyncio.gather(*(each.once() for each in workers))
    assert len(bad.called) == 2
    bad.says = lambda _: Accepted("x")
    clock.advance(60)
    await asyncio.gather(*(each.once() for each in workers))
    assert len(bad.called) == 3
    clock.advance(60)
    await asyncio.gather(*(each.once() for each in workers))
    assert {await status(house, loop_health, each) for each in (first, *made)} == {"sent"}
    assert not await house.database.owner.fetchval("select count(*) from breaker")


async def test_a_prober_that_dies_is_followed_by_another(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    bad = await provide("bad", lambda _: REFUSED)
    await ill(house, loop_health, clock, worker, bad)
    await due(house, loop_health, clock)
    await house.database.owner.execute(
        "update breaker set prober = gen_random_uuid(), probing_until = $1::timestamptz + interval '30 s'",
        clock.now(),
    )
    await worker.once()
    assert len(bad.called) == 1
    clock.advance(31)
    await worker.once()
    assert len(bad.called) == 2


async def test_the_next_on_the_route_is_called_meanwhile(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    bad = await provide("bad", lambda _: REFUSED)
    await route(house, loop_health, "bad", "sand")
    first = await ill(house, loop_health, clock, worker, bad)
    timeline = await messages.timeline(house, loop_health, UUID(first))
    tried = [each["details"]["provider_id"] for each in timeline if each["event"] == "attempted"]
    assert tried == ["bad", "sand"]
    (second,) = await due(house, loop_health, clock)
    clock.advance(-299)
    await house.database.owner.execute("update queue set due_at = $1", clock.now())
    await worker.once()
    assert await status(house, loop_health, second) == "sent"
    assert len(bad.called) == 1
    assert len(await outbox(house, loop_health)) == 2


async def test_one_that_is_busy_is_followed_by_the_next_at_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    busy = await provide("busy", lambda _: TryLater("busy", after=600.0))
    await route(house, loop_health, "busy", "sand")
    (made,) = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert len(busy.called) == len(await outbox(house, loop_health)) == 1


async def test_one_that_wants_to_be_left_alone_is_though_the_next_does_not(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("second", lambda _: BUSY)
    await provide("first", lambda _: TryLater("busy", after=600.0))
    await route(house, loop_health, "first", "second")
    (made,) = await due(house, loop_health, clock)
    await worker.once()
    timeline = await messages.timeline(house, loop_health, UUID(made))
    assert timeline[-1]["event"] == "retried"
    waits = await house.database.owner.fetchval("select due_at - $1 from queue", clock.now())
    assert waits.total_seconds() >= 600


@pytest.mark.parametrize("answer", [Lost("reset"), TryLater("greylisted", of_message=True), Rejected("no")])
async def test_no_other_is_asked_where_it_may_have_been_taken_or_would_make_no_difference(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any, answer: Outcome
) -> None:
    await provide("first", lambda _: answer)
    await route(house, loop_health, "first", "sand")
    await due(house, loop_health, clock)
    await worker.once()
    assert await outbox(house, loop_health) == []


@pytest.mark.parametrize("answer", [BUSY, Lost("timeout")])
async def test_a_run_of_silence_is_an_illness_and_one_less_is_none(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any, answer: Outcome
) -> None:
    silent = await provide("silent", lambda _: answer)
    await due(house, loop_health, clock, RUN - 1)
    await worker.once()
    assert not await house.database.owner.fetchval("select count(*) from breaker")
    await due(house, loop_health, clock, 1, first=RUN)
    clock.advance(-299)
    await house.database.owner.execute(
        "update queue set due_at = $1 where attempt = 0 and state = 'scheduled'", clock.now()
    )
    await worker.once()
    row = await house.database.owner.fetchrow("select * from breaker")
    assert row is not None
    assert (row["provider_id"], row["brand_id"], row["reason"]) == ("silent", "*", answer.reason)  # type: ignore[union-attr]
    assert len(silent.called) >= RUN


async def test_recipients_that_are_put_off_make_nobody_ill(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("strict", lambda _: TryLater("greylisted", of_message=True))
    await due(house, loop_health, clock, 2 * RUN)
    await worker.once()
    assert not await house.database.owner.fetchval("select count(*) from breaker")


async def test_one_that_is_set_up_anew_is_tried_at_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    bad = await provide("bad", lambda _: REFUSED)
    await ill(house, loop_health, clock, worker, bad)
    bad.says = lambda _: Accepted("x")
    clock.advance(1)
    shared = {"baa": True, "limits": {}, "brands": None}
    await brands.put_provider(house, loop_health, "bad", "bad", {}, {}, **shared)  # type: ignore[arg-type]
    clock.advance(2)
    await worker.once()
    assert len(bad.called) == 2


async def test_operators_are_told(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    bad = await provide("bad", lambda _: REFUSED)
    await ill(house, loop_health, clock, worker, bad)
    finding = next(each for each in await health.examine(house) if each.what == "provider bad for brand loop")
    assert finding.found.startswith("not called: login_refused, since 2030-01-01T12:05:00")
    assert finding.advice
    assert b'comms_provider_resting{provider="bad"} 1.0' in await metrics.scrape(house)
