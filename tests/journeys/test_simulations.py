"""What is said to come comes: the look ahead, beside the worker that gets there in its own time."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from comms.actions import brands, consents, erasure, facts, persons, simulations, suppressions
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.persons import Known
from comms.actions.templates import NewTemplate, add_version, create
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandLimits, Cap, QuietHours, Routes
from comms.domain.caller import Caller
from comms.domain.options import Options
from comms.domain.schedule import show
from comms.testing import FakeClock
from tests.journeys.story import ask, change_brand, make_letter, schedule

pytestmark = pytest.mark.anyio

DAY = 86_400
BEGINS = datetime(2030, 3, 1, 12, tzinfo=UTC)
"""In the four weeks after it clocks are put forward in America (10 March) and in Europe (31 March)."""

DAYS = 45
MANY = 300
ZONES = (None, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/London")
CATEGORIES = {"news": 4 * 3600, "offers": 900, "transactional": 3600}
CAPS = [
    Cap(3, 7 * DAY, "defer"),
    Cap(1, DAY, "drop", "offers"),
    Cap(2, 12 * 3600, "pass", "transactional"),
    Cap(2, 3 * DAY, "drop", "news", "sms"),
]


class Story(NamedTuple):
    """When the last judgement on a message fell, what it was, by which rule, and what put it off before."""

    at: str
    verdict: str
    rule: str
    deferred: list[dict[str, str]]


async def set_up(house: House, caller: Caller, chance: random.Random) -> None:
    """Night in Berlin unless a person is elsewhere, caps of each kind, and persons who said this and that."""
    await change_brand(
        house,
        caller,
        timezone="Europe/Berlin",
        quiet_hours=QuietHours("21:30", "08:00"),
        limits=BrandLimits(caps=CAPS),
    )
    for category, max_late in CATEGORIES.items():
        for channel in ("email", "sms"):
            new = NewTemplate("loop", category, channel, None, category, max_late, "prefer_silence")
            template = await create(house, caller, new)
            await add_version(house, caller, UUID(template["id"]), {"subject": "Yes", "body": "Hi"})
    for n, zone in enumerate(ZONES * 2):
        await persons.put(house, caller, "loop", f"p{n}", Known(zone, None))
        for category in ("news", "offers"):
            for channel in ("email", "sms"):
                about = About("loop", f"p{n}", channel, category)
                if said := chance.choice([True, True, True, True, False, None]):
                    await consents.put_consent(house, caller, about, opted_in=said, source="form")
                if chance.random() < 0.1:
                    await consents.put_preference(house, caller, about, enabled=False)
    await suppressions.add(house, caller, "loop", "p3@example.org", "hard_bounce", "test")
    await facts.put(house, caller, "loop", "visit", "booked")


async def schedule_many(house: House, caller: Caller, clock: FakeClock, chance: random.Random) -> None:
    """At random milliseconds; some on the hour, so that many are due at once; a few that are late already."""
    requests = []
    for n in range(MANY):
        channel, person = chance.choice(["email", "sms"]), chance.randrange(len(ZONES) * 2)
        after = timedelta(milliseconds=chance.randrange(DAYS * DAY * 1000))
        if chance.random() < 0.2:
            after = timedelta(hours=round(after / timedelta(hours=1)))
        category = chance.choice(list(CATEGORIES))
        if chance.random() < 0.02:
            after = timedelta(seconds=-CATEGORIES[category])
        wanted = chance.choice([{}, {}, {}, {"visit": "booked"}, {"visit": "cancelled"}])
        request = ask(
            clock,
            channel,
            after=after,
            template_key=category,
            recipient=f"p{person}@example.org" if channel == "email" else f"+155555501{person:02d}",
            person_id=f"p{person}",
            dedup_key=f"key-{n}",
            options=Options(send_if=wanted),
        )
        requests.append(schedule(house, caller, request))
    await asyncio.gather(*requests)


async def live(house: House, clock: FakeClock, worker: Worker, ends: datetime) -> None:
    """Let the worker do its work at each instant at which something is due, until then.

    One after the other: of two that are due at once to one person either may get a cap's last place.
    """
    while due := await house.database.owner.fetchval(
        "select min(due_at) from queue where state = 'scheduled' and due_at <= $1", ends
    ):
        clock.advance(max(0.0, (due - clock.now()).total_seconds()))
        clock.instant = max(clock.instant, due)  # to the microsecond
        worker._lanes.forget()
        for claim in sorted(await worker._take(100), key=lambda claim: (claim.due_at, claim.id)):
            worker._start([claim], worker._lease_ends())
            await asyncio.gather(*worker._in_flight.values())


async def contents(house: House) -> dict[str, str]:
    """A hash of all that a simulation must leave alone."""
    tables = ("message", "queue", "ledger", "cap_use", "delivery")
    hashed = "select md5(string_agg(t::text, '' order by t::text)) from {} t"
    return {each: await house.database.owner.fetchval(hashed.format(each)) for each in tables}


async def lived(house: House) -> dict[str, Story]:
    """What the worker decided, of all that it has judged."""
    put_off: dict[str, list[dict[str, str]]] = {}
    for row in await house.database.owner.fetch(
        "select message_id, at, details from ledger where event = 'deferred' order by n"
    ):
        put_off.setdefault(str(row["message_id"]), []).append({"at": show(row["at"]), **row["details"]})
    found = {}
    for row in await house.database.owner.fetch(
        "select id, decision from message where decision is not null"
    ):
        decision, deferred = row["decision"], put_off.get(str(row["id"]), [])
        before = deferred[:-1] if decision["verdict"] == "defer" else deferred
        found[str(row["id"])] = Story(decision["decided_at"], decision["verdict"], decision["rule"], before)
    return found


def simulated(answer: dict[str, Any]) -> dict[str, Story]:
    """What was said, of all that it was said of."""
    return {
        each["message_id"]: Story(
            each["at"],
            each["verdict"],
            each.get("reason", "clear"),
            each.get("details", {}).get("deferred", []),
        )
        for each in answer["data"]
    }


async def test_what_was_simulated_is_what_the_worker_does_message_by_message(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    chance = random.Random(8)
    clock.advance((BEGINS - clock.now()).total_seconds())
    await set_up(house, loop_health, chance)
    await schedule_many(house, loop_health, clock, chance)
    clock.advance(60)
    ends = clock.now() + timedelta(days=DAYS - 10)
    before = await contents(house)
    answer = await simulations.simulate(house, loop_health, "loop", None, show(ends))
    assert await contents(house) == before
    await live(house, clock, worker, ends)
    said, came = simulated(answer), await lived(house)
    assert set(said) == set(came)
    assert [(n, each, came[n]) for n, each in said.items() if each != came[n]] == []
    rules = {each.rule for each in came.values()} | {
        each["reason"] for story in came.values() for each in story.deferred
    }
    assert rules == {
        "clear", "quiet_hours", "frequency_cap", "guard_not_met", "no_consent", "preference_off",
        "suppressed_hard_bounce", "max_late",
    }  # fmt: skip


async def ahead(
    house: House, caller: Caller, days: float = 1, person: str | None = None
) -> list[tuple[str, ...]]:
    """Verdict and reason of what comes, in order."""
    ends = show(house.clock.now() + timedelta(days=days))
    answer = await simulations.simulate(house, caller, "loop", person, ends)
    return [(each["verdict"], each.get("reason", "")) for each in answer["data"]]


async def test_of_one_person_alone_and_no_longer_than_was_asked_for(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    for n, (person, hours) in enumerate([("p1", 1), ("p2", 2), ("p1", 25)]):
        await schedule(
            house, loop_health, ask(clock, person_id=person, after=timedelta(hours=hours), dedup_key=f"{n}")
        )
    assert len(await ahead(house, loop_health)) == 2
    assert len(await ahead(house, loop_health, person="p1")) == 1
    assert len(await ahead(house, loop_health, days=2, person="p1")) == 2
    assert await ahead(house, loop_health, person="nobody") == []


async def test_a_hold_a_route_that_carries_nothing_and_lateness_say_so(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await schedule(house, loop_health, ask(clock))
    await change_brand(house, loop_health, routes=Routes())
    assert await ahead(house, loop_health) == [("wait", "no_route")]
    await change_brand(house, loop_health, routes=Routes(sms=["sand"]))
    await brands.hold(house, loop_health, "loop")
    assert await ahead(house, loop_health) == [("wait", "brand_held")]
    await brands.release(house, loop_health, "loop", send_late=False)
    clock.advance(5 * 3600)
    assert await ahead(house, loop_health) == [("expire", "max_late")]


async def test_what_is_put_off_past_the_end_says_until_when_and_what_would_let_it_go(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await make_letter(house, loop_health, "news")
    await change_brand(house, loop_health, quiet_hours=QuietHours("20:00", "08:00"))
    made = await schedule(
        house, loop_health, ask(clock, "email", template_key="letter", after=timedelta(hours=9))
    )
    ends = show(clock.now() + timedelta(hours=10))
    answer = await simulations.simulate(house, loop_health, "loop", "p1", ends)
    assert answer == {
        "data": [
            {
                "message_id": made,
                "at": "2030-01-01T21:00:00.000Z",
                "verdict": "defer",
                "reason": "quiet_hours",
                "details": {
                    "because": "It is quiet hours where the person is (20:00 to 08:00, UTC).",
                    "otherwise": ["it had not been quiet hours in UTC"],
                    "until": "2030-01-02T08:00:00.000Z",
                },
            }
        ],
        "details": {"until": ends},
    }


async def test_of_a_person_who_was_erased_nothing_is_said(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await schedule(house, loop_health, ask(clock))
    await erasure.erase(house, loop_health, "loop", "p1")
    assert await ahead(house, loop_health) == []


@pytest.mark.parametrize(("bound", "most", "told"), [("MOST_MESSAGES", 3, 3), ("MOST_JUDGEMENTS", 3, 3)])
async def test_where_too_much_waits_it_says_how_far_it_has_come(
    house: House, loop_health: Caller, clock: FakeClock, monkeypatch: pytest.MonkeyPatch,
    bound: str, most: int, told: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(simulations, bound, most)
    for hours in range(1, 6):
        request = ask(clock, after=timedelta(hours=hours), dedup_key=str(hours))
        await schedule(house, loop_health, request)
    ends = show(clock.now() + timedelta(days=1))
    answer = await simulations.simulate(house, loop_health, "loop", None, ends)
    assert len(answer["data"]) == told
    assert answer["details"]["until"] == answer["data"][-1]["at"] == show(clock.now() + timedelta(hours=3))
