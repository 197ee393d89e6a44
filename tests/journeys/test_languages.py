"""A template's versions speak languages; a brand hears the nearest to its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from comms.actions import acceptance, brands, templates
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.testing import FakeClock
from tests.journeys.story import ask, outbox

pytestmark = pytest.mark.anyio


async def publish(house: House, caller: Caller, locale: str | None, *, draft: bool = False) -> None:
    listed = await templates.listed(house, caller, "loop")
    template_id = UUID(next(each["id"] for each in listed if each["channel"] == "sms"))
    given: dict[str, Any] = {"body": f"in {locale}: {{{{ name }}}}"}
    await templates.add_version(house, caller, template_id, given, locale=locale, draft=draft)


async def heard(house: House, caller: Caller, clock: FakeClock, worker: Worker, locale: str) -> str:
    brand = await house.setup.require_brand("loop")
    await brands.put_brand(house, caller, "loop", msgspec.structs.replace(brand.settings, locale=locale))
    await acceptance.schedule(house, caller, ask(clock, dedup_key=f"key-{locale}"))
    clock.advance(300)
    await worker.once()
    body: str = (await outbox(house, caller))[0]["body"]
    return body


async def test_the_nearest_language_is_spoken(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    for locale in ("de", "de-CH", "pt-BR"):
        await publish(house, loop_health, locale)
    said = {
        locale: await heard(house, loop_health, clock, worker, locale)
        for locale in ("de-CH", "de-AT", "de", "pt-BR", "pt", "fr")
    }
    assert said == {
        "de-CH": "in de-CH: Ada",
        "de-AT": "in de: Ada",
        "de": "in de: Ada",
        "pt-BR": "in pt-BR: Ada",
        "pt": "Hi Ada",
        "fr": "Hi Ada",
    }


async def test_a_draft_is_never_sent(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await publish(house, loop_health, None, draft=True)
    assert await heard(house, loop_health, clock, worker, "en") == "Hi Ada"
    await publish(house, loop_health, None)
    assert await heard(house, loop_health, clock, worker, "en-GB") == "in None: Ada"
