"""A line to a message centre is a worker's from its start on."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from comms.actions import acceptance, brands
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.testing import FakeClock
from tests.journeys.story import ask, status
from tests.providers.message_centre import centre

pytestmark = pytest.mark.anyio


async def put(house: House, caller: Caller, port: int, system_id: str = "comms") -> None:
    settings: dict[str, Any] = {"host": "127.0.0.1", "port": port, "system_id": system_id, "source": "12345"}
    shared: dict[str, Any] = {"baa": False, "limits": {}, "brands": None}
    await brands.put_provider(house, caller, "texts", "smpp", settings, {"password": "secret"}, **shared)


async def test_a_worker_is_bound_before_it_sends_and_bound_anew_where_the_set_up_changes(
    house: House, loop_health: Caller, worker: Worker
) -> None:
    stop = asyncio.Event()
    async with centre() as there:
        await put(house, loop_health, there.port)
        working = asyncio.create_task(worker.run(stop))
        await there.until(lambda: [each.system_id for each in there.bound] == ["comms"])
        assert await there.deliver(b"STOP") == 0
        await put(house, loop_health, there.port, "other")
        worker._hear()
        await there.until(lambda: [each.system_id for each in there.bound] == ["comms", "other"])
        await there.until(there.unbound.is_set)
        stop.set()
        await working
    assert there.said == []


async def test_a_text_goes_out_over_the_line(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    async with centre() as there:
        await put(house, loop_health, there.port)
        brand = await house.setup.require_brand("loop")
        routes = msgspec.structs.replace(brand.settings.routes, sms=["texts"])
        await brands.put_brand(
            house, loop_health, "loop", msgspec.structs.replace(brand.settings, routes=routes)
        )
        made = (await acceptance.schedule(house, loop_health, ask(clock))).message
        clock.advance(300)
        assert await worker.once() == 1
        await worker._accounts.close()
    [said] = there.said
    assert (said.destination_addr, said.source_addr, said.short_message) == (
        "15555550123",
        "12345",
        b"Hi Ada",
    )
    assert await status(house, loop_health, made["id"]) == "sent"
