"""A house that may call its own machine, a worker, and whoever wants to hear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from comms.actions.house import House
from comms.dispatch.emitter import Emitter
from comms.dispatch.worker import Worker
from comms.providers.outward import Outward
from comms.testing import FakeClock
from tests.events.receiver import Receiver, receiving
from tests.journeys.story import tools


@pytest.fixture
def clock() -> FakeClock:
    """Now: whoever checks a signature looks at the time."""
    return FakeClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
async def house(house: House) -> AsyncIterator[House]:
    outward = Outward(local=True)
    yield replace(house, outward=outward)
    await outward.close()


@pytest.fixture
def worker(house: House) -> Worker:
    return Worker(house, tools(house))


@pytest.fixture
def emitter(house: House) -> Emitter:
    return Emitter(house, UUID(int=1))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened
