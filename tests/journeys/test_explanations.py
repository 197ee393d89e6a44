"""Every stored verdict follows from its facts, by the function that gave it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from comms.actions import consents, explanation, facts, messages
from comms.actions.brands import put_provider
from comms.actions.consents import About
from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandLimits, Cap, QuietHours
from comms.domain.caller import Caller
from comms.domain.options import Options
from comms.testing import FakeClock
from tests.journeys.story import ask, change_brand, make_letter, schedule

pytestmark = pytest.mark.anyio


class _Day:
    """A day on which everything that may stop a message stops one."""

    def __init__(self, house: House, caller: Caller, clock: FakeClock, worker: Worker) -> None:
        self.all = (house, caller)
        self.clock, self.worker = clock, worker
        self.made: dict[str, str] = {}

    async def due(self, rule: str, **changes: Any) -> None:
        """A letter on which `rule` shall decide."""
        request = ask(self.clock, "email", **{"template_key": "letter", "dedup_key": rule, **changes})
        self.made[rule] = await schedule(*self.all, request)

    async def passes(self) -> None:
        self.clock.advance(300)
        await self.worker.once()

    async def of_time(self) -> None:
        await self.due("max_late")
        self.clock.advance(5 * 3600)
        await sweep(self.all[0])

    async def of_persons(self) -> None:
        await consents.unsubscribe(*self.all, About("loop", "p2", "email", "news"))
        await facts.put(*self.all, "loop", "x", "1")
        await self.due("superseded")
        await self.due("clear", options=Options(supersedes="superseded", send_if={"x": "1"}))
        await self.due("guard_not_met", options=Options(send_if={"x": "2"}))
        await self.due("no_consent", person_id="p9")
        await self.due("opted_out", person_id="p2")
        await self.passes()

    async def of_limits(self) -> None:
        await change_brand(*self.all, limits=BrandLimits(caps=[Cap(1, 3600, "drop")]))
        await self.due("the first")
        await self.passes()
        await self.due("frequency_cap")
        await self.passes()
        await change_brand(*self.all, limits=None, quiet_hours=QuietHours("17:00", "23:00"))
        await self.due("quiet_hours")
        await self.passes()
        await change_brand(*self.all, quiet_hours=None)

    async def of_the_house(self) -> None:
        house, _ = self.all
        await self.due("no_route")
        await self.carry(brands=["other"])
        await self.passes()
        await self.carry(brands=None)
        await self.due("brand_held")
        self.clock.advance(300)
        lease_ends = self.worker._lease_ends()
        [claim] = [each for each in await self.worker._take(9) if str(each.id) == self.made["brand_held"]]
        await house.database.owner.execute("update brand set held_at = now()")
        await house.database.owner.execute("update installation set epoch = epoch + 1")
        house.setup.doubt()
        await self.worker._pipeline.deliver(claim, lease_ends)

    async def carry(self, *, brands: list[str] | None) -> None:
        """Whose messages the provider takes."""
        shared: dict[str, Any] = {"baa": False, "limits": {}, "brands": brands}
        await put_provider(*self.all, "sand", "sandbox", {}, {}, **shared)


@pytest.fixture
async def made(house: House, loop_health: Caller, clock: FakeClock, worker: Worker) -> dict[str, str]:
    """A message a rule."""
    await make_letter(house, loop_health, "news")
    day = _Day(house, loop_health, clock, worker)
    await day.of_time()
    await day.of_persons()
    await day.of_limits()
    await day.of_the_house()
    return day.made


async def test_every_rule_is_explained_and_every_verdict_follows_from_its_facts(
    house: House, loop_health: Caller, made: dict[str, str]
) -> None:
    told = {rule: await messages.explain(house, loop_health, UUID(each)) for rule, each in made.items()}
    assert {rule: each["rule"] for rule, each in told.items()} == {rule: rule for rule in made} | {
        "the first": "clear"
    }
    for rule, each in told.items():
        assert bool(each["details"]["otherwise"]) == (each["verdict"] != "send"), rule
        assert len(each["details"]["because"]) == len(each["facts"]), rule
        assert all(fact["id"] for fact in each["facts"])
    verified = await explanation.verify(house)
    assert (verified.matching, verified.differing) == (len(made), [])


async def test_a_verdict_that_does_not_follow_is_named(house: House, made: dict[str, str]) -> None:
    """Taking away the fact that decided, or the verdict, or what can be read of it."""
    spoilt = {
        "opted_out": "jsonb_set(decision, '{facts}', '[]')",
        "quiet_hours": """jsonb_set(decision, '{until}', '"2030-01-01T23:00:00.001Z"')""",
        "clear": """jsonb_set(decision, '{verdict}', '"suppress"')""",
        "frequency_cap": "jsonb_set(decision, '{facts,0,deadline}', '7')",
    }
    for rule, change in spoilt.items():
        await house.database.owner.execute(
            f"update message set decision = {change} where id = $1", UUID(made[rule])
        )
    verified = await explanation.verify(house)
    assert set(verified.differing) == {UUID(made[rule]) for rule in spoilt}
    assert verified.matching == len(made) - len(spoilt)


async def test_what_a_provider_refused_is_explained_by_its_answer(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    request = ask(clock, "email", recipient="reject@example.org")
    failed = await schedule(house, loop_health, request)
    clock.advance(300)
    await worker.once()
    told = await messages.explain(house, loop_health, UUID(failed))
    assert told["verdict"] == "send"
    assert told["facts"][-1]["kind"] == "outcome"
    assert "provider_rejected" in told["details"]["because"][-1]
