"""Only who holds a message may say how it ended: its owner, for its attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.store import deferral, queue
from comms.testing import FakeClock
from tests.journeys.story import ask, schedule, status, tools

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
LATER = datetime(2030, 1, 2, tzinfo=UTC)
ENDINGS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "accept": (
        queue.finish,
        lambda bucket, id_, attempt: queue.Finished(bucket, id_, attempt, "accept", None, "sand", {}),
    ),
    "expire": (
        queue.finish,
        lambda bucket, id_, attempt: queue.Finished(bucket, id_, attempt, "expire", "expired", None, {}),
    ),
    "retry": (
        queue.wait_again,
        lambda bucket, id_, attempt: queue.Waiting(bucket, id_, attempt, "retry", "busy", SECOND, None),
    ),
    "defer": (
        deferral.defer,
        lambda bucket, id_, attempt: deferral.Deferred(bucket, id_, attempt, "quiet_hours", LATER, LATER, {}),
    ),
    "lose": (
        queue.lose,
        lambda bucket, id_, attempt: queue.Unknown(bucket, id_, attempt, "timeout", "sand", {}),
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_who_was_given_up_ends_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, name: str
) -> None:
    made = await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    sleeper = Worker(house, tools(house))
    (first,) = await sleeper._take(1)
    clock.advance(house.settings.lease_seconds + 1)
    await sweep(house)
    (second,) = await worker._take(1)
    assert (first.attempt, second.attempt) == (1, 2)
    write, ending = ENDINGS[name]
    engine, now = house.database.engine, clock.sql_now()
    for owner, attempt in ((sleeper.owner, 1), (sleeper.owner, 2), (worker.owner, 1)):
        assert await write(engine, owner, now, [ending(first.bucket, first.id, attempt)], []) == set()
        assert await status(house, loop_health, made) == "sending"
    assert await write(engine, worker.owner, now, [ending(first.bucket, first.id, 2)], []) == {first.id}
