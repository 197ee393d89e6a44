"""One message in place of another: exactly one of the two goes, whatever happens at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from comms.actions import acceptance, bulk, messages
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.options import Options
from comms.providers.base import Lost
from comms.testing import FakeClock
from tests.journeys.story import ask, ended, outbox, schedule, status
from tests.journeys.test_doubts import provide

__all__ = ["provide"]

pytestmark = pytest.mark.anyio


def replacing(clock: FakeClock, old: str, new: str, **changes: Any) -> acceptance.Request:
    return ask(clock, dedup_key=new, options=Options(supersedes=old), **changes)


async def refused(house: House, caller: Caller, request: acceptance.Request) -> tuple[int, str]:
    with pytest.raises(Refused) as why:
        await acceptance.schedule(house, caller, request)
    assert await messages.find_by_key(house, caller, "loop", request.dedup_key) is None
    return why.value.status, why.value.code


async def test_the_one_is_cancelled_as_the_other_is_accepted(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    old = await schedule(house, loop_health, ask(clock))
    request = replacing(clock, "key-1", "key-2", after=timedelta(minutes=10))
    new = await schedule(house, loop_health, request)
    assert await ended(house, loop_health, old) == ("cancelled", "superseded")
    *_, last = await messages.timeline(house, loop_health, UUID(old))
    assert (last["event"], last["details"]) == ("cancelled", {"reason": "superseded", "by": new})
    told = await messages.explain(house, loop_health, UUID(old))
    assert (told["verdict"], told["rule"], told["facts"]) == (
        "cancel",
        "superseded",
        [{"kind": "superseded", "id": new}],
    )
    clock.advance(600)
    assert await worker.once() == 1
    assert await status(house, loop_health, new) == "sent"
    again = await acceptance.schedule(house, loop_health, request)
    assert (again.replayed, again.message["id"]) == (True, new)
    with pytest.raises(Refused, match="dedup_key_cancelled"):
        await acceptance.schedule(house, loop_health, ask(clock))


async def test_what_can_not_be_stopped_any_more_is_not_replaced(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await schedule(house, loop_health, ask(clock))
    await schedule(house, loop_health, ask(clock, dedup_key="lost", recipient="+15555550004"))
    clock.advance(300)
    claims = await worker._take(2)
    assert await refused(house, loop_health, replacing(clock, "key-1", "new")) == (409, "in_flight")
    worker._start(claims, worker._lease_ends())
    await asyncio.gather(*worker._in_flight.values())
    assert await refused(house, loop_health, replacing(clock, "key-1", "new")) == (409, "already_sent")
    assert await refused(house, loop_health, replacing(clock, "lost", "new")) == (409, "not_cancellable")


async def test_what_waits_to_be_asked_for_again_is_not_replaced(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("keyed", lambda _: Lost("reset"), idempotent=True)
    old = await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await worker.once()
    assert await status(house, loop_health, old) == "scheduled"
    assert await refused(house, loop_health, replacing(clock, "key-1", "new")) == (409, "in_flight")


async def test_what_was_replaced_or_never_was_is_not_replaced_and_what_ended_unsent_is_no_obstacle(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await schedule(house, loop_health, ask(clock))
    await schedule(house, loop_health, replacing(clock, "key-1", "key-2"))
    assert await refused(house, loop_health, replacing(clock, "key-1", "new")) == (409, "already_superseded")
    assert await refused(house, loop_health, replacing(clock, "none", "new")) == (422, "superseded_not_found")
    assert await refused(house, loop_health, replacing(clock, "new", "new")) == (422, "validation_error")
    plain = await schedule(house, loop_health, ask(clock, dedup_key="plain"))
    await messages.cancel(house, loop_health, UUID(plain))
    assert await schedule(house, loop_health, replacing(clock, "plain", "key-3"))


async def test_another_brands_message_is_not_there_to_be_replaced(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await schedule(house, loop_health, ask(clock))
    brand = await house.setup.require_brand("loop")
    await house.database.owner.execute(
        "update dedup set brand_id = 'other' where brand_id = $1", brand.brand_id
    )
    code = await refused(house, loop_health, replacing(clock, "key-1", "new"))
    assert code == (422, "superseded_not_found")


async def test_of_many_that_replace_the_same_at_once_one_does(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await schedule(house, loop_health, ask(clock))
    tries = [acceptance.schedule(house, loop_health, replacing(clock, "key-1", f"new-{n}")) for n in range(8)]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(each.code for each in ends if isinstance(each, Refused)) == ["already_superseded"] * 7
    clock.advance(300)
    assert await worker.once() == 1


async def test_the_same_request_many_times_at_once_is_one_message(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await schedule(house, loop_health, ask(clock))
    request = replacing(clock, "key-1", "new")
    ends = await asyncio.gather(*(acceptance.schedule(house, loop_health, request) for _ in range(8)))
    assert sorted(each.replayed for each in ends) == [False] + [True] * 7
    assert len({each.message["id"] for each in ends}) == 1


async def test_in_a_race_with_the_claim_exactly_one_of_both_goes(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """Twenty at once, so that both ends are seen; what is refused must have gone, what is not must not."""
    for number in range(20):
        await schedule(house, loop_health, ask(clock, dedup_key=f"old-{number}"))
    clock.advance(300)

    tries = [
        acceptance.schedule(house, loop_health, replacing(clock, f"old-{n}", f"new-{n}")) for n in range(20)
    ]
    _, *made = await asyncio.gather(worker.once(), *tries, return_exceptions=True)
    assert {each.code for each in made if isinstance(each, Refused)} <= {"in_flight", "already_sent"}
    clock.advance(300)
    await worker.once()
    assert len(await outbox(house, loop_health)) == 20
    for number, each in enumerate(made):
        old = await messages.find_by_key(house, loop_health, "loop", f"old-{number}")
        assert await status(house, loop_health, str(old)) == (
            "sent" if isinstance(each, Refused) else "cancelled"
        )


async def test_what_is_about_a_subject_is_cancelled_together(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    about = Options(subject="appointment:123")
    made = [await schedule(house, loop_health, ask(clock, dedup_key=key, options=about)) for key in "abc"]
    other = await schedule(house, loop_health, ask(clock, dedup_key="d", options=Options(subject="other")))
    plain = await schedule(house, loop_health, ask(clock, dedup_key="e"))
    no = {"dedup_key": None, "person_id": None, "template_key": None, "before": None}
    verdicts = await bulk.cancel(house, loop_health, "loop", subject="appointment:123", limit=10, **no)
    assert sorted(each["id"] for each in verdicts) == sorted(made)
    assert {each["status"] for each in verdicts} == {"cancelled"}
    assert [await status(house, loop_health, each) for each in (other, plain)] == ["scheduled"] * 2


async def test_a_secret_that_was_not_written_is_not_remembered(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    """It is wrapped with a key that may end before the person is written to again."""
    await refused(house, loop_health, replacing(clock, "nobody's", "key-2", person_id="p9"))
    brand = await house.setup.require_brand("loop")
    assert brand.person("p9") not in house.keys._known
