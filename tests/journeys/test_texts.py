"""STOP, START and HELP: at once, for that number and that brand, pending messages included, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from comms.actions import acceptance, brands, messages, suppressions, templates
from comms.actions import events as actions
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandSettings, Routes, Senders, SmsSender
from comms.domain.caller import Caller
from comms.providers.events import Event, Inbound
from comms.store import suppressions as rows
from comms.testing import FakeClock
from tests.journeys.story import ask, outbox, status
from tests.journeys.test_events import sent

pytestmark = pytest.mark.anyio

ADA, LOOP = "+15555550123", "+15555550100"


class Phone:
    """A person with a telephone."""

    def __init__(self, house: House, clock: FakeClock, number: str = ADA) -> None:
        self.house, self.clock, self.number = house, clock, number
        self.texts = 0

    async def text(
        self, said: str, at: datetime | None = None, *, to: str = LOOP, by: str = "sand", **known: Any
    ) -> None:
        self.texts += 1
        text = Inbound(f"{self.number}/{self.texts}", at or self.clock.now(), self.number, to, said, **known)
        await actions.hear(self.house, by, [text])


@pytest.fixture
def ada(house: House, clock: FakeClock) -> Phone:
    return Phone(house, clock)


async def goes(house: House, caller: Caller, clock: FakeClock, worker: Worker, **changes: Any) -> str:
    """How a text that is sent now ends."""
    made = await sent(house, caller, clock, worker, channel="sms", dedup_key=str(clock.now()), **changes)
    shown = await messages.get_scheduled(house, caller, UUID(made))
    return str(shown["failure_reason"] or shown["status"])


async def other_brand(house: House, caller: Caller, number: str) -> None:
    routes, senders = Routes(sms=["sand"]), Senders(sms=SmsSender(number))
    await brands.put_brand(
        house, caller, "other", BrandSettings(name="Other", routes=routes, senders=senders)
    )
    new = templates.NewTemplate("other", "visit", "sms", None, "transactional", 14_400, "prefer_silence")
    made = await templates.create(house, caller, new)
    await templates.add_version(house, caller, UUID(made["id"]), {"body": "Hi {{ name }}"})


async def test_stop_reaches_what_was_scheduled_before_a_reminder_too(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    waiting = (await acceptance.schedule(house, loop_health, ask(clock, "sms"))).message["id"]
    clock.advance(299)
    await ada.text("Stop!")
    clock.advance(1)
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(waiting))
    assert (shown["status"], shown["failure_reason"]) == ("suppressed", "suppressed_stop")
    assert await outbox(house, loop_health) == []
    explained = await messages.explain(house, loop_health, UUID(waiting))
    assert explained["facts"][-1]["says"] == "stop"


async def test_stop_ends_texts_and_nothing_else(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    await ada.text("STOP")
    mail = await sent(house, loop_health, clock, worker, dedup_key="mail")
    assert await status(house, loop_health, mail) == "sent"
    assert await goes(house, loop_health, clock, worker, recipient="+15555550124") == "sent"
    assert await goes(house, loop_health, clock, worker) == "suppressed_stop"


async def test_start_takes_back_what_stop_added_and_nothing_else(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    brand = await house.setup.require_brand("loop")
    bounce = suppressions.suppression(brand, "sms", ADA, "hard_bounce", "test", clock.now())
    async with house.database.engine.acquire() as connection:
        await rows.add(connection, [bounce], clock.now())
    await ada.text("STOP")
    clock.advance(1)
    await ada.text("START")
    assert await goes(house, loop_health, clock, worker) == "suppressed_hard_bounce"
    async with house.database.brand("loop") as connection:
        await rows.lift(connection, bounce.bucket, bounce.id, clock.now(), "t", UUID(int=1))
    assert await goes(house, loop_health, clock, worker) == "sent"


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ((("STOP", 0), ("START", 60)), "sent"),
        ((("START", 60), ("STOP", 0)), "sent"),  # the STOP came late
        ((("START", 0), ("STOP", 60)), "suppressed_stop"),
        ((("STOP", 60), ("START", 0)), "suppressed_stop"),  # the START came late
        ((("STOP", 0), ("STOP", 60), ("START", 30)), "suppressed_stop"),
        ((("STOP", 60), ("STOP", 0), ("START", 30)), "suppressed_stop"),
        ((("STOP", 0), ("START", 30), ("STOP", 60), ("STOP", 10)), "suppressed_stop"),
        ((("STOP", 0), ("START", 90), ("START", 30), ("STOP", 60)), "sent"),
        ((("START", 90), ("START", 30), ("STOP", 60)), "sent"),
        ((("START", 30), ("START", 90), ("STOP", 60)), "sent"),
        ((("STOP", 0), ("START", 30), ("START", 90), ("STOP", 60)), "sent"),
        ((("STOP", 0), ("hello", 30), ("HELP", 60)), "suppressed_stop"),
    ],
)
async def test_what_was_said_last_counts_in_whatever_order_it_comes(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone, said: Any, ends: str
) -> None:
    began = clock.now()
    clock.advance(3600)
    for word, after in said:
        await ada.text(word, began + timedelta(seconds=after))
    assert await goes(house, loop_health, clock, worker) == ends


async def test_the_same_text_again_is_not_said_again(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    await ada.text("STOP")
    clock.advance(60)
    await ada.text("START")
    clock.advance(60)
    ada.texts = 0
    await ada.text("STOP")  # Twilio brings it again, which has no time of its own
    assert await goes(house, loop_health, clock, worker) == "sent"


@pytest.mark.parametrize(
    ("number", "to", "ends"),
    [
        ("+15555550199", LOOP, ("suppressed_stop", "sent")),
        ("+15555550199", "+15555550199", ("sent", "suppressed_stop")),
        (LOOP, LOOP, ("suppressed_stop", "suppressed_stop")),  # they share it
        (
            "+15555550199",
            "+15555550777",
            ("suppressed_stop", "suppressed_stop"),
        ),  # nobody's: better all than none
    ],
)
async def test_stop_is_for_the_brands_that_text_from_that_number(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    ada: Phone,
    number: str,
    to: str,
    ends: Any,
) -> None:
    await other_brand(house, loop_health, number)
    await ada.text("STOP", to=to)
    loop = await goes(house, loop_health, clock, worker)
    assert (loop, await goes(house, loop_health, clock, worker, brand_id="other")) == ends


async def test_a_providers_own_number_and_brands_say_whose_it_is(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    await other_brand(house, loop_health, LOOP)
    settings = {"account_sid": "AC" + "0" * 32, "from": "+15555550777"}
    shared = {"baa": False, "limits": {}, "brands": ["other"]}
    await brands.put_provider(house, loop_health, "tw", "twilio", settings, {"auth_token": "x"}, **shared)  # type: ignore[arg-type]
    await ada.text("STOP", to="+15555550777", by="tw")
    assert await goes(house, loop_health, clock, worker) == "sent"
    assert await goes(house, loop_health, clock, worker, brand_id="other") == "suppressed_stop"


async def test_a_provider_may_know_better_what_a_text_means(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    await ada.text("genug jetzt", keyword="stop")
    assert await goes(house, loop_health, clock, worker) == "suppressed_stop"


async def test_a_vendor_that_refuses_because_of_a_stop_tells_us_of_it(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    made = await sent(house, loop_health, clock, worker, channel="sms")
    failed = Event("SM1/failed", "failed", clock.now(), f"{made}-0", reason="twilio_21610")
    told = [failed, replace(failed, id="SM1/stop", event="unsubscribed")]
    await actions.hear(house, "sand", told)
    assert await goes(house, loop_health, clock, worker) == "suppressed_stop"
    await ada.text("UNSTOP")
    assert await goes(house, loop_health, clock, worker) == "sent"


async def test_help_is_answered_once_by_the_brands_own_text_where_it_has_one(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, ada: Phone
) -> None:
    await ada.text("HELP")
    await worker.once()
    assert await outbox(house, loop_health) == []
    new = templates.NewTemplate("loop", "help", "sms", None, "transactional", 3600, "prefer_silence")
    made = await templates.create(house, loop_health, new)
    await templates.add_version(
        house, loop_health, UUID(made["id"]), {"body": "Loop: call 555-0100. STOP ends."}
    )
    await ada.text("Help?")
    ada.texts -= 1
    await ada.text("Help?")
    clock.advance(1)
    await worker.once()
    assert [(item["recipient"], item["body"]) for item in await outbox(house, loop_health)] == [
        (ADA, "Loop: call 555-0100. STOP ends.")
    ]
    await ada.text("STOP")
    await ada.text("HELP")  # whoever has stopped gets nothing, and nothing breaks
    await worker.once()
    assert len(await outbox(house, loop_health)) == 1


@pytest.mark.parametrize("sender", ["", "12345", "Loop", "+", "+1555", "anonymous\n"])
async def test_a_text_from_no_number_is_passed_over(
    house: House, loop_health: Caller, clock: FakeClock, sender: str
) -> None:
    assert loop_health.brand_id == "*"
    await Phone(house, clock, sender).text("STOP")
    assert await house.database.owner.fetchval("select count(*) from suppression") == 0


async def test_nothing_that_a_person_says_or_is_stands_in_the_clear(
    house: House, loop_health: Caller, ada: Phone
) -> None:
    assert loop_health.brand_id == "*"
    for said in ("my secret is teal", "STOP", "START", "HELP"):
        await ada.text(said)
    owner = house.database.owner
    for table in ("ledger", "suppression", "provider_event", "delivery_reference", "message"):
        for row in await owner.fetch(f"select to_jsonb(t)::text as whole from {table} t"):
            assert "teal" not in row["whole"]
            assert ADA[1:] not in row["whole"]
    noted = await owner.fetch("select details from ledger where event = 'text_received' order by n")
    keywords = [row["details"]["keyword"] for row in noted]
    assert keywords == [None, "stop", "start", "help"]
