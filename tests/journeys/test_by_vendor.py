"""The main journey with a vendor at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from comms.actions import acceptance, brands
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.providers.http import Http
from comms.testing import FakeClock
from tests.journeys.story import ask, status, tools
from tests.providers.contract import Case
from tests.providers.vendor_cases import RESEND, TWILIO
from tests.providers.vendor_server import Said, VendorServer, vendor

pytestmark = pytest.mark.anyio


@pytest.fixture
async def calling(house: House) -> AsyncIterator[Worker]:
    """A worker with connections to vendors."""
    async with Http() as http:
        yield Worker(house, tools(house, http))


async def route(house: House, caller: Caller, channel: str, case: Case, server: VendorServer) -> None:
    settings = {**case.settings, "base_url": server.url}
    shared = {"baa": False, "limits": {}, "brands": None}
    await brands.put_provider(house, caller, "v", case.kind, settings, dict(case.secrets), **shared)  # type: ignore[arg-type]
    brand = await house.setup.require_brand("loop")
    routes = msgspec.structs.replace(brand.settings.routes, **{channel: ["v"]})
    await brands.put_brand(house, caller, "loop", msgspec.structs.replace(brand.settings, routes=routes))


async def test_a_lost_answer_is_asked_for_again_where_the_vendor_has_a_key(
    house: House, loop_health: Caller, clock: FakeClock, calling: Worker
) -> None:
    async with vendor(Said(500), RESEND.taken) as server:
        await route(house, loop_health, "email", RESEND, server)
        made = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
        clock.advance(300)
        assert await calling.once() == 1
        clock.advance(3600)
        assert [await calling.once(), await calling.once()] == [1, 0]
    first, second = server.asked
    assert first == second
    assert first.headers["idempotency-key"] == f"{made['id']}-0"
    assert await status(house, loop_health, made["id"]) == "sent"


async def test_a_lost_answer_is_unknown_where_it_has_none(
    house: House, loop_health: Caller, clock: FakeClock, calling: Worker
) -> None:
    async with vendor(Said(500), TWILIO.taken) as server:
        await route(house, loop_health, "sms", TWILIO, server)
        made = (await acceptance.schedule(house, loop_health, ask(clock))).message
        clock.advance(300)
        assert await calling.once() == 1
        clock.advance(3600)
        assert await calling.once() == 0
    assert len(server.asked) == 1
    assert await status(house, loop_health, made["id"]) == "unknown"
