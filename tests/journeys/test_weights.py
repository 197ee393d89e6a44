"""Providers that share a route by weight: the same one at every attempt, the next where it can't, and it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from comms.actions import acceptance, brands, explanation, messages
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.brand import Routes, RouteWeights
from comms.domain.caller import Caller
from comms.providers.base import Accepted, Misconfigured, TryLater
from comms.testing import FakeClock
from tests.journeys.story import ask, change_brand, status
from tests.journeys.test_doubts import Scripted, provide

__all__ = ["provide"]

pytestmark = pytest.mark.anyio

Provide = Callable[..., Any]


async def share(house: House, caller: Caller, **weights: int) -> None:
    await change_brand(
        house, caller, routes=Routes(sms=["a", "b", "spare"]), route_weights=RouteWeights(sms=weights)
    )


async def due(house: House, caller: Caller, clock: FakeClock, many: int) -> list[str]:
    made = [await acceptance.schedule(house, caller, ask(clock, dedup_key=f"key-{n}")) for n in range(many)]
    clock.advance(300)
    return [each.message["id"] for each in made]


def whose(*providers: Scripted) -> dict[str, int]:
    """By message, the number of the provider that was called last."""
    return {str(out.message_id): number for number, each in enumerate(providers) for out in each.called}


async def attempts(house: House, caller: Caller, message_id: str) -> list[str]:
    timeline = await messages.timeline(house, caller, UUID(message_id))
    return [each["details"]["provider_id"] for each in timeline if each["event"] == "attempted"]


async def test_messages_go_by_weight_and_a_retry_to_the_same(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Provide
) -> None:
    """Each says at first that this recipient is to wait, which sends nothing to the next."""
    waits = [await provide(name, lambda _: TryLater("busy", of_message=True)) for name in ("a", "b")]
    spare = await provide("spare", lambda _: Accepted())
    await share(house, loop_health, a=3, b=1)
    made = await due(house, loop_health, clock, 60)
    while await worker.once():
        pass
    first = whose(*waits)
    counted = Counter(first.values())
    assert set(first) == set(made)
    assert counted[0] > counted[1] > 0
    for each in waits:
        each.says = lambda _: Accepted()
        each.called.clear()
    clock.advance(3600)
    while await worker.once():
        pass
    assert whose(*waits) == first
    assert not spare.called
    assert {await status(house, loop_health, each) for each in made} == {"sent"}


async def test_where_the_one_whose_turn_it_is_cannot_the_route_goes_on_in_its_order(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Provide
) -> None:
    ill = await provide("b", lambda _: Misconfigured("key"))
    well, spare = [await provide(name, lambda _: Accepted()) for name in ("a", "spare")]
    await share(house, loop_health, b=1000, spare=1)
    [made] = await due(house, loop_health, clock, 1)
    await worker.once()
    assert [len(each.called) for each in (ill, well, spare)] == [1, 1, 0]
    assert await attempts(house, loop_health, made) == ["b", "a"]


async def test_an_explanation_says_whose_turn_it_was(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Provide
) -> None:
    providers = [await provide(name, lambda _: Accepted()) for name in ("a", "b", "spare")]
    await share(house, loop_health, a=3, b=1)
    [made] = await due(house, loop_health, clock, 1)
    await worker.once()
    name = ["a", "b", "spare"][whose(*providers)[made]]
    explained = await messages.explain(house, loop_health, UUID(made))
    [share_] = [each for each in explained["facts"] if each["kind"] == "share"]
    assert share_ == {"kind": "share", "id": name, "weight": {"a": 3, "b": 1}[name], "of": 4}
    said = f"{share_['weight']} of 4 messages go to {name} first, and so did this."
    assert said in explained["details"]["because"]
    assert await explanation.verify(house) == (1, [])


async def test_those_who_share_are_claimed_for_as_each_has_room(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Provide
) -> None:
    """Two at a time are a line of eight; of four messages three are for the other, which is not limited."""
    for name in ("a", "b", "spare"):
        await provide(name, lambda _: Accepted())
    shared: dict[str, Any] = {"baa": True, "limits": {"concurrency": 2}, "brands": None}
    await brands.put_provider(house, loop_health, "b", "b", {}, {}, **shared)
    await share(house, loop_health, a=3, b=1)
    made = await due(house, loop_health, clock, 60)
    claimed = []
    while now := await worker.once():
        claimed.append(now)
    assert claimed[0] == 32
    assert {await status(house, loop_health, each) for each in made} == {"sent"}
