"""A person's own language, where a template speaks it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from comms.actions import messages, persons
from comms.actions.house import House
from comms.actions.persons import Known
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.testing import FakeClock
from tests.journeys.story import ask, change_brand, outbox, schedule
from tests.journeys.test_languages import publish

pytestmark = pytest.mark.anyio


async def heard(house: House, caller: Caller, clock: FakeClock, worker: Worker, **changes: Any) -> str:
    await schedule(house, caller, ask(clock, dedup_key=str(clock.now()), **changes))
    clock.advance(300)
    await worker.once()
    body: str = (await outbox(house, caller))[0]["body"]
    return body


@pytest.mark.parametrize(
    ("locale", "said"),
    [("de-CH", "in de: Ada"), ("pt", "in pt: Ada"), ("fr", "in en: Ada"), (None, "in en: Ada")],
)
async def test_a_persons_language_comes_before_the_brands(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, locale: str | None, said: str
) -> None:
    for each in ("en", "de", "pt"):
        await publish(house, loop_health, each)
    await change_brand(house, loop_health, locale="en-GB")
    await persons.put(house, loop_health, "loop", "p1", Known(None, locale))
    await persons.put(house, loop_health, "loop", "p2", Known(None, "de"))
    assert await heard(house, loop_health, clock, worker) == said


async def test_what_is_given_the_current_version_gets_the_persons(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await schedule(house, loop_health, ask(clock))
    await persons.put(house, loop_health, "loop", "p1", Known(None, "de"))
    await publish(house, loop_health, "de")
    await messages.change(house, loop_health, UUID(made), messages.Change(current_version=True))
    clock.advance(300)
    await worker.once()
    assert (await outbox(house, loop_health))[0]["body"] == "in de: Ada"
