"""A time on the wall stays what was promised when a zone's rules change."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from comms.actions import acceptance, messages
from comms.actions.house import House
from comms.actions.zones import keep_promises
from comms.dispatch.worker import Worker
from comms.domain import zones
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.testing import FakeClock
from tests.journeys.story import ask, events

pytestmark = pytest.mark.anyio

NAME = "America/New_York"
PROMISED = f"2030-01-02T09:00:00-04:00[{NAME}]"


@pytest.fixture
def old_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """In which New York was four hours behind all the year."""
    with files("tzdata").joinpath("zoneinfo", "Etc", "GMT+4").open("rb") as file:
        old = ZoneInfo.from_file(file, key=NAME)
    monkeypatch.setattr(zones, "zone", lambda _name: old)
    monkeypatch.setattr(zones, "release", lambda: "old")


async def test_it_moves_to_when_the_clocks_now_show_it(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, old_rules: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert old_rules is None
    request = ask(clock, scheduled_at=PROMISED)
    made = (await acceptance.schedule(house, loop_health, request)).message
    plain = (await acceptance.schedule(house, loop_health, ask(clock, dedup_key="plain"))).message
    assert made["scheduled_at"] == "2030-01-02T13:00:00.000Z"
    assert await keep_promises(house) == 0
    monkeypatch.undo()
    assert await keep_promises(house) == 1
    assert await keep_promises(house) == 0
    moved = await messages.get_scheduled(house, loop_health, UUID(made["id"]))
    assert moved["scheduled_at"] == "2030-01-02T14:00:00.000Z"
    assert await events(house, loop_health, made["id"]) == ["accepted", "rescheduled"]
    assert await events(house, loop_health, plain["id"]) == ["accepted"]
    again = await acceptance.schedule(house, loop_health, request)
    assert (again.replayed, again.message) == (True, moved)
    with pytest.raises(Refused, match="contradicts"):
        await acceptance.schedule(house, loop_health, ask(clock, scheduled_at=PROMISED, dedup_key="new"))
    clock.advance(timedelta(hours=25, minutes=59).total_seconds())
    assert await worker.once() == 1  # the plain one
    clock.advance(60)
    assert await worker.once() == 1
