"""How much one person gets, whoever sends it and however much is due at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import pytest

from comms.actions import acceptance, messages
from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandLimits, Cap
from comms.domain.caller import Caller
from comms.domain.errors import Refused
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
    tools,
)

pytestmark = pytest.mark.anyio

HOUR = 3600


@pytest.fixture
async def caller(house: House, loop_health: Caller) -> Caller:
    await make_letter(house, loop_health, "news", max_late=600)
    return loop_health


async def cap(
    house: House, caller: Caller, count: int, then: Literal["drop", "defer", "pass"], **more: Any
) -> None:
    await change_brand(house, caller, limits=BrandLimits(caps=[Cap(count, HOUR, then, **more)]))


async def letters(house: House, caller: Caller, clock: FakeClock, count: int, **changes: Any) -> list[str]:
    """Due at once."""
    made = []
    for number in range(count):
        request = ask(
            clock, "email", **{"template_key": "letter", "dedup_key": f"{clock.now()}-{number}", **changes}
        )
        made.append(await schedule(house, caller, request))
    clock.advance(300)
    return made


async def statuses(house: House, caller: Caller, made: list[str]) -> list[str]:
    return sorted([await status(house, caller, each) for each in made])


@pytest.mark.parametrize("count", [1, 3])
async def test_of_many_that_two_workers_have_at_the_same_moment_as_many_go_as_the_cap_allows(
    house: House, caller: Caller, clock: FakeClock, count: int
) -> None:
    await cap(house, caller, count, "drop")
    made = await letters(house, caller, clock, 12)
    workers = [Worker(house, tools(house)) for _ in range(2)]
    taken = [await each._take(6) for each in workers]
    assert [len(each) for each in taken] == [6, 6]
    for each, claims in zip(workers, taken, strict=True):
        each._start(claims, each._lease_ends())
    await asyncio.gather(*(task for each in workers for task in each._in_flight.values()))
    assert await statuses(house, caller, made) == ["sent"] * count + ["suppressed"] * (12 - count)
    assert len(await outbox(house, caller)) == count
    reasons = {(await ended(house, caller, each))[1] for each in made}
    assert reasons == {None, "frequency_cap"}


async def test_what_is_deferred_goes_when_there_is_room(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "defer")
    made = await letters(house, caller, clock, 2)
    await worker.once()
    assert await statuses(house, caller, made) == ["scheduled", "sent"]
    clock.advance(HOUR - 1)
    await sweep(house)
    assert await worker.once() == 0
    clock.advance(1)
    await worker.once()
    assert await statuses(house, caller, made) == ["sent", "sent"]


async def test_what_passes_passes_and_is_counted(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "pass")
    made = await letters(house, caller, clock, 2)
    await worker.once()
    assert await statuses(house, caller, made) == ["sent", "sent"]
    said = [(await messages.explain(house, caller, UUID(each)))["details"]["because"] for each in made]
    assert sum("had had as many" in " ".join(each) for each in said) == 1


async def test_a_cap_is_of_one_person_and_of_what_it_covers(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "drop", channel="email", category="transactional")
    made = await letters(house, caller, clock, 1, template_key="visit")
    made += await letters(house, caller, clock, 1, template_key="visit", person_id="p2")
    made += await letters(house, caller, clock, 2)
    made.append(await schedule(house, caller, ask(clock, "sms", after=timedelta(microseconds=1))))
    clock.advance(1)
    await worker.once()
    assert await statuses(house, caller, made) == ["sent"] * 5
    again = await letters(house, caller, clock, 1, template_key="visit", person_id="p2")
    await worker.once()
    assert await ended(house, caller, again[0]) == ("suppressed", "frequency_cap")


async def test_what_nobody_took_does_not_count(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "drop")
    refused = await letters(house, caller, clock, 1, recipient="reject@example.org")
    await worker.once()
    later = await letters(house, caller, clock, 1, recipient="flaky@example.org")
    await worker.once()
    await messages.cancel(house, caller, UUID(later[0]))
    sent = await letters(house, caller, clock, 1)
    await worker.once()
    found = [await status(house, caller, each) for each in (*refused, *later, *sent)]
    assert found == ["failed", "cancelled", "sent"]


async def test_what_may_have_been_taken_counts_until_it_is_known_to_have_failed(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "drop")
    [lost] = await letters(house, caller, clock, 1, recipient="lost@example.org")
    await worker.once()
    assert await status(house, caller, lost) == "unknown"
    [second] = await letters(house, caller, clock, 1)
    await worker.once()
    assert await status(house, caller, second) == "suppressed"
    await messages.settle(house, caller, UUID(lost), "failed")
    [third] = await letters(house, caller, clock, 1)
    await worker.once()
    assert await status(house, caller, third) == "sent"


async def test_a_message_does_not_count_against_itself(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "drop")
    [made] = await letters(house, caller, clock, 1, recipient="flaky@example.org")
    for _ in range(3):
        await worker.once()
        clock.advance(10)
    assert await events(house, caller, made) == [
        "accepted", "claimed", "attempted", "retried", "claimed", "attempted", "retried", "claimed", "attempted", "sent",
    ]  # fmt: skip


async def test_send_is_refused_where_the_cap_is_full(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await cap(house, caller, 1, "drop")
    await letters(house, caller, clock, 1)
    await worker.once()
    with pytest.raises(Refused) as refused:
        await acceptance.schedule(
            house, caller, ask(clock, "email", template_key="letter", scheduled_at=None)
        )
    assert (refused.value.status, refused.value.code) == (422, "frequency_cap")


async def test_a_brand_without_caps_writes_nothing_down(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await letters(house, caller, clock, 2)
    await worker.once()
    assert await house.database.owner.fetchval("select count(*) from cap_use") == 0
