"""H16: an agreement that a vendor no longer has, between acceptance and the hour."""

from __future__ import annotations

import pytest

from comms.actions.brands import put_provider
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.testing import FakeClock
from tests.journeys.story import ask, events, outbox, schedule, status, tools

pytestmark = pytest.mark.anyio


async def test_an_agreement_that_ended_meanwhile_stops_what_waits(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    async def agree(*, baa: bool) -> None:
        await put_provider(house, loop_health, "box", "inbox", {}, {}, baa=baa, limits={}, brands=None)

    worker = Worker(house, tools(house))
    message_id = await schedule(house, loop_health, ask(clock, "in_app", hipaa=True))
    await agree(baa=False)
    clock.advance(300)
    await worker.once()
    assert await status(house, loop_health, message_id) == "scheduled"
    assert "attempted" not in await events(house, loop_health, message_id)
    assert await outbox(house, loop_health) == []
    await agree(baa=True)
    clock.advance(1800)
    await worker.once()
    assert await status(house, loop_health, message_id) == "sent"
