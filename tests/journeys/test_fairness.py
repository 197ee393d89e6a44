"""Many due at once, and much overdue: neither keeps a single message waiting."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from comms.actions import acceptance, brands, templates
from comms.actions.acceptance import Request
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandLimits, BrandSettings, Routes
from comms.domain.caller import Caller
from comms.domain.schedule import show
from comms.testing import FakeClock
from tests.journeys.story import status

pytestmark = pytest.mark.anyio

HERD = 350


async def brand(house: House, caller: Caller, name: str, weight: int = 1) -> None:
    settings = BrandSettings(name=name, routes=Routes(sms=["sand"]), limits=BrandLimits(weight))
    await brands.put_brand(house, caller, name, settings)
    await template(house, caller, name, "visit", 14_400)


async def template(house: House, caller: Caller, brand_id: str, key: str, max_late: int) -> None:
    new = templates.NewTemplate(brand_id, key, "sms", None, "transactional", max_late, "prefer_silence")
    made = await templates.create(house, caller, new)
    await templates.add_version(house, caller, UUID(made["id"]), {"body": "Hi {{ name }}"}, draft=False)


async def due_in(
    house: House,
    caller: Caller,
    clock: FakeClock,
    seconds: float,
    brand_id: str,
    count: int = 1,
    key: str = "visit",
) -> list[str]:
    at = show(clock.now() + timedelta(seconds=seconds))

    async def one(n: int) -> str:
        name = f"{key}-{seconds}-{n}"
        asked = Request("sms", key, "+15555550123", brand_id, "p1", name, at, {"name": "Ada"})
        made = await acceptance.schedule(house, caller, asked)
        message_id: str = made.message["id"]
        return message_id

    return await asyncio.gather(*map(one, range(count)))


async def sent(house: House, brand_id: str) -> int:
    count: int = await house.database.owner.fetchval(
        "select count(*) from message where brand_id = $1 and outcome = 'sent'", brand_id
    )
    return count


async def test_a_herd_of_one_brand_does_not_delay_another_s_single_message(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await brand(house, loop_health, "small")
    await due_in(house, loop_health, clock, 60, "loop", HERD)
    (single,) = await due_in(house, loop_health, clock, 60.001, "small")
    clock.advance(61)
    await worker.once()
    await worker.once()
    assert await status(house, loop_health, single) == "sent"
    assert await sent(house, "loop") < HERD


async def test_a_heavier_brand_goes_faster(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await brand(house, loop_health, "heavy", weight=4)
    await brand(house, loop_health, "light")
    for each in ("light", "heavy"):
        await due_in(house, loop_health, clock, 60, each, HERD)
    clock.advance(61)
    await worker.once()
    before = {each: await sent(house, each) for each in ("heavy", "light")}
    await worker.once()
    assert await sent(house, "heavy") - before["heavy"] == 80
    assert await sent(house, "light") - before["light"] == 20


async def test_a_backlog_does_not_keep_what_has_just_become_due_waiting(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await due_in(house, loop_health, clock, 60, "loop", HERD)
    clock.advance(3600)
    (new,) = await due_in(house, loop_health, clock, 0, "loop")
    await worker.once()
    await worker.once()
    assert await status(house, loop_health, new) == "sent"
    assert await sent(house, "loop") < HERD


async def test_what_is_overdue_goes_by_its_deadline(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await template(house, loop_health, "loop", "urgent", 7200)
    await due_in(house, loop_health, clock, 60, "loop", HERD)
    urgent = await due_in(house, loop_health, clock, 120, "loop", 40, "urgent")
    clock.advance(3600)
    await worker.once()
    await worker.once()
    assert {await status(house, loop_health, each) for each in urgent} == {"sent"}


async def test_what_one_claim_can_take_is_taken_by_one_and_the_templates_are_not_looked_at(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await due_in(house, loop_health, clock, 60, "loop", 20)
    clock.advance(60)
    assert await worker.once() == 20
    assert not worker._looks_by_lane


def test_a_weight_is_all_that_a_brand_s_limits_hold() -> None:
    assert msgspec.convert({"name": "x", "limits": {"weight": 3}}, BrandSettings).limits == BrandLimits(3)
    for wrong in ({"weight": 0}, {"weight": 101}, {"per_second": 5}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"name": "x", "limits": wrong}, BrandSettings)
