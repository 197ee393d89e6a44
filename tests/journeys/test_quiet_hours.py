"""What is due in quiet hours waits for their end, by the clock of the person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from comms.actions import consents, messages, persons
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.persons import Known
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.brand import QuietHours
from comms.domain.caller import Caller
from comms.testing import FakeClock
from tests.journeys.story import (
    ask,
    change_brand,
    ended,
    events,
    make_letter,
    outbox,
    schedule,
    status,
)

pytestmark = pytest.mark.anyio

EIGHT = "2030-01-02T07:00:00.000Z"
"""In Berlin."""


@pytest.fixture
async def caller(house: House, loop_health: Caller) -> Caller:
    """Quiet from nine to eight, in Berlin unless the person is elsewhere."""
    await change_brand(house, loop_health, timezone="Europe/Berlin", quiet_hours=QuietHours("21:00", "08:00"))
    await make_letter(house, loop_health, "news", max_late=600)
    return loop_health


async def due(house: House, caller: Caller, clock: FakeClock, at: str, **changes: Any) -> str:
    """A letter that is due now, at `at` o'clock in Berlin (winter)."""
    hour, minute = map(int, at.split(":"))
    clock.advance((datetime(2030, 1, 1, hour - 1, minute, tzinfo=UTC) - clock.now()).total_seconds())
    changes = {"template_key": "letter", "after": timedelta(microseconds=1), **changes}
    request = ask(clock, "email", **changes)
    made = await schedule(house, caller, request)
    clock.advance(0.001)
    return made


async def test_it_waits_for_their_end_and_that_is_no_attempt(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await due(house, caller, clock, "21:00")
    await worker.once()
    assert await status(house, caller, made) == "scheduled"
    *_, deferred = await messages.timeline(house, caller, UUID(made))
    assert (deferred["event"], deferred["details"]) == ("deferred", {"reason": "quiet_hours", "until": EIGHT})
    explained = await messages.explain(house, caller, UUID(made))
    assert (explained["verdict"], explained["rule"]) == ("defer", "quiet_hours")
    assert explained["details"]["until"] == EIGHT
    assert "Europe/Berlin" in explained["reason"]
    clock.advance(11 * 3600 - 1)
    assert await worker.once() == 0
    clock.advance(1)
    await worker.once()
    assert await status(house, caller, made) == "sent"
    assert await events(house, caller, made) == [
        "accepted",
        "claimed",
        "deferred",
        "claimed",
        "attempted",
        "sent",
    ]
    attempts = [
        each["details"].get("attempt") for each in (await messages.timeline(house, caller, UUID(made)))[3:]
    ]
    assert attempts == [1, 1, 1]


@pytest.mark.parametrize(("seconds", "ends"), [(599, "sent"), (601, "expired")])
async def test_lateness_counts_from_their_end(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, seconds: int, ends: str
) -> None:
    made = await due(house, caller, clock, "22:00")
    await worker.once()
    clock.advance(10 * 3600 + seconds)
    await sweep(house)
    await worker.once()
    assert await status(house, caller, made) == ends


@pytest.mark.parametrize(
    ("due_at", "ends", "event"), [("22:00", "scheduled", "deferred"), ("20:45", "expired", "expired")]
)
async def test_an_outage_in_the_night_makes_late_only_what_could_have_gone_before(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, due_at: str, ends: str, event: str
) -> None:
    made = await due(house, caller, clock, due_at)
    clock.advance(3 * 3600)
    await sweep(house)
    await worker.once()
    assert await status(house, caller, made) == ends
    assert (await events(house, caller, made))[-1] == event


async def test_an_outage_until_the_morning_is_excused_as_long_as_the_template_allows(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await due(house, caller, clock, "22:00")
    clock.advance(10 * 3600 + 300)
    await sweep(house)
    await worker.once()
    assert await status(house, caller, made) == "sent"


@pytest.mark.parametrize(
    ("zone", "ends"), [("America/New_York", "sent"), ("Asia/Tokyo", "scheduled"), (None, "scheduled")]
)
async def test_the_clock_is_that_of_the_person_where_it_is_known(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, zone: str | None, ends: str
) -> None:
    await persons.put(house, caller, "loop", "p1", Known(zone, None))
    await persons.put(house, caller, "loop", "p2", Known("Europe/London", None))
    made = await due(house, caller, clock, "22:30")
    await worker.once()
    assert await status(house, caller, made) == ends
    facts = (await messages.explain(house, caller, UUID(made)))["facts"]
    [found] = [each for each in facts if each["kind"] == "zone"]
    assert found["says"] == (zone or "Europe/Berlin")
    assert found["id"] == ("loop" if zone is None else await person_id(house))


async def person_id(house: House) -> str:
    brand = await house.setup.require_brand("loop")
    digest = brand.person_hash("p1")
    return str(await house.database.owner.fetchval("select id from person where person_hash = $1", digest))


@pytest.mark.parametrize(("categories", "ends"), [([], "sent"), (["transactional"], "scheduled")])
async def test_transactional_passes_unless_its_category_is_listed(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, categories: list[str], ends: str
) -> None:
    await change_brand(house, caller, quiet_hours=QuietHours("21:00", "08:00", categories))
    made = await due(house, caller, clock, "23:00", template_key="visit")
    await worker.once()
    assert await status(house, caller, made) == ends


async def test_what_is_refused_does_not_wait_and_what_waits_is_judged_again(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    refused = await due(house, caller, clock, "22:00", person_id="p9")
    waits = await due(house, caller, clock, "22:00", dedup_key="waits")
    await worker.once()
    assert await ended(house, caller, refused) == ("suppressed", "no_consent")
    await consents.unsubscribe(house, caller, About("loop", "p1", "email", "news"))
    clock.advance(10 * 3600)
    await worker.once()
    assert await ended(house, caller, waits) == ("suppressed", "opted_out")
    assert await outbox(house, caller) == []


async def test_a_second_attempt_does_not_come_at_night_either_and_pauses_do_not_grow_by_the_wait(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await due(house, caller, clock, "20:59", recipient="flaky@example.org")
    await worker.once()
    clock.advance(60)
    await worker.once()
    assert (await events(house, caller, made))[-1] == "deferred"
    clock.advance(11 * 3600)
    await worker.once()
    *_, last = await messages.timeline(house, caller, UUID(made))
    assert (last["event"], last["details"]["attempt"]) == ("retried", 2)
    clock.advance(10)
    await worker.once()
    assert await status(house, caller, made) == "sent"
