"""A person is erased while messages to them are accepted, claimed and handed over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from comms.actions import (
    acceptance,
    erasure,
    messages,
)
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, TryLater
from comms.store.database import Database
from comms.testing import FakeClock
from tests.journeys.erased import another, destroyed, house, of, worker
from tests.journeys.story import RECIPIENTS, ask, outbox, status
from tests.journeys.test_doubts import provide
from tests.privacy.dump import dump, opened

__all__ = ["house", "provide", "worker"]

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("answers", "ends", "reason"),
    [
        (Accepted("x"), "sent", None),
        (TryLater("busy"), "suppressed", "person_erased"),
        (Lost("timeout"), "unknown", None),
    ],
)
async def test_a_call_that_has_begun_ends_and_the_erasure_waits_for_it(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    provide: Any,
    answers: Outcome,
    ends: str,
    reason: str | None,
) -> None:
    provider = await provide("calls", lambda _: answers)
    erasing: list[asyncio.Task[Any]] = []

    async def is_erased_meanwhile(_outgoing: Outgoing) -> Outcome:
        if not erasing:
            erasing.append(asyncio.create_task(erasure.erase(house, loop_health, "loop", "p1")))
            await destroyed(house)
            for _ in range(50):  # long enough for all the rest of an erasure
                await house.database.owner.fetchval("select 1")
        assert not erasing[0].done()
        return answers

    provider.send = is_erased_meanwhile
    made = await acceptance.schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await worker.once()
    await erasing[0]
    clock.advance(5)
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(made.message["id"]))
    assert (shown["status"], shown["failure_reason"], shown["recipient"]) == (ends, reason, "erased")
    taken = await dump(house.database)
    assert of(opened(taken, house.setup.master, house.setup.epochs), "p1", "Ada", RECIPIENTS["sms"]) == set()


async def test_what_may_have_been_taken_is_not_asked_again_and_not_called_suppressed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    provider = await provide("lossy", lambda _: Lost("timeout"), idempotent=True)
    made = await acceptance.schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await worker.once()
    assert await status(house, loop_health, made.message["id"]) == "scheduled"  # it would be asked again
    await house.database.owner.execute("update person_key set wrapped = null, destroyed_at = now()")
    clock.advance(60)
    await worker.once()
    assert len(provider.called) == 1
    assert await status(house, loop_health, made.message["id"]) == "unknown"


async def test_a_message_that_was_accepted_at_the_same_moment_is_not_sent(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await acceptance.schedule(house, loop_health, ask(clock))
    await house.database.owner.execute("update person_key set wrapped = null, destroyed_at = now()")
    clock.advance(300)
    await worker.once()
    assert await outbox(house, loop_health) == []
    explained = await messages.explain(house, loop_health, UUID(made.message["id"]))
    assert (explained["verdict"], explained["rule"]) == ("suppress", "person_erased")
    assert await status(house, loop_health, made.message["id"]) == "suppressed"


async def test_messages_accepted_while_persons_are_erased_are_sent_cancelled_or_suppressed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database, tmp_path: Path
) -> None:
    houses = [house, another(database, clock, tmp_path)]
    accepted: list[str] = []

    async def accept(n: int) -> None:
        asked = ask(clock, person_id=f"p{n % 3}", dedup_key=f"key {n}")
        accepted.append((await acceptance.schedule(houses[n % 2], loop_health, asked)).message["id"])

    async def erase(n: int) -> None:
        await erasure.erase(houses[n % 2], loop_health, "loop", f"p{n % 3}")

    await asyncio.gather(*(erase(n) if n % 8 == 7 else accept(n) for n in range(160)))
    assert len(accepted) == 140
    clock.advance(300)
    while await worker.once():
        pass
    shown = [await messages.get_scheduled(house, loop_health, UUID(each)) for each in accepted]
    ends = {(each["status"], each["failure_reason"], each["person_id"] == "erased") for each in shown}
    assert ends <= {
        ("sent", None, False),
        ("cancelled", "person_erased", True),
        ("suppressed", "person_erased", True),
    }
    assert ("sent", None, False) in ends


async def test_of_many_first_messages_to_a_person_all_can_be_read(
    house: House, loop_health: Caller, clock: FakeClock, database: Database, tmp_path: Path
) -> None:
    houses = [house, *(another(database, clock, tmp_path) for _ in range(3))]
    asked = [ask(clock, person_id=f"new {n % 5}", dedup_key=f"key {n}") for n in range(120)]
    made = await asyncio.gather(
        *(acceptance.schedule(houses[n % 4], loop_health, each) for n, each in enumerate(asked))
    )
    for each, one in zip(asked, made, strict=True):
        shown = await messages.get_scheduled(house, loop_health, UUID(one.message["id"]))
        assert (shown["person_id"], shown["dedup_key"]) == (each.person_id, each.dedup_key)
    assert await database.owner.fetchval("select count(*) from person_key") == 5
