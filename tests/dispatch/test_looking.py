"""How a worker looks for what is due next: from the beginning, but for a part of its time at most."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from comms.actions.house import House
from comms.clock import Clock
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from tests.journeys.story import tools

pytestmark = pytest.mark.anyio


class Slow(Clock):
    """A clock by which whatever is asked takes a second."""

    passed = 0.0

    def monotonic(self) -> float:
        self.passed += 1.0
        return self.passed


async def _add(house: House, due_at: datetime) -> None:
    await house.database.owner.execute(
        """insert into queue (bucket, id, brand_id, template_id, due_at, deadline)
           values (60, $1, 'loop', $1, $2, $2)""",
        uuid4(),
        due_at,
    )


async def test_a_look_that_takes_long_is_not_repeated_at_once(house: House, loop_health: Caller) -> None:
    del loop_health
    clock = Slow()
    worker = Worker(replaced := replace(house, clock=clock), tools(replaced))
    ahead, passed = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(minutes=1)
    await _add(house, ahead)
    assert await worker._peek() == ahead
    await _add(house, passed)
    assert await worker._peek() == ahead
    clock.passed += 100.0
    assert await worker._peek() == passed
    assert worker._floor == passed - timedelta(seconds=2)
