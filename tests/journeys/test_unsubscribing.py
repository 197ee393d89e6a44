"""From a mail that was sent to a click that reaches what waits."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import acceptance, addresses, consents, health, messages, templates
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.templates import NewTemplate
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.http.app import application
from comms.settings import Settings
from comms.testing import FakeClock
from tests.journeys.story import ask, outbox, status, tools
from tests.journeys.test_by_mail import route_mail
from tests.providers.smtp_servers import mails, sink

pytestmark = pytest.mark.anyio

PUBLIC = "https://comms.example.org"
ADA = About("loop", "p1", "email", "news")


@pytest.fixture
async def open_house(house: House, loop_health: Caller) -> House:
    """The same house, with an address that recipients know."""
    assert loop_health.brand_id == "*"
    return replace(house, settings=msgspec.structs.replace(Settings(), public_url=PUBLIC))


@pytest.fixture
def worker(open_house: House) -> Worker:
    return Worker(open_house, tools(open_house))


@pytest.fixture
async def browser(open_house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever follows a link: without a token."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(open_house)), base_url=PUBLIC
    ) as opened:
        yield opened


async def publish(house: House, caller: Caller, channel: str = "email", **version: Any) -> dict[str, Any]:
    category = version.pop("category", "news")
    key = version.pop("key", "letter")
    new = NewTemplate("loop", key, channel, None, category, 14_400, "prefer_silence")
    template = await templates.create(house, caller, new)
    said = {"subject": "News", "body": "Hi {{ name }}", **version}
    return await templates.add_version(house, caller, UUID(template["id"]), said)


async def schedule(house: House, caller: Caller, clock: FakeClock, **changes: Any) -> str:
    changes = {"template_key": "letter", **changes}
    accepted = await acceptance.schedule(
        house, caller, ask(clock, changes.pop("channel", "email"), **changes)
    )
    return str(accepted.message["id"])


async def consent(house: House, caller: Caller, about: About = ADA) -> None:
    await consents.put_consent(house, caller, about, opted_in=True, source="form")


async def test_one_click_in_a_mail_reaches_what_is_scheduled(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path,
    browser: httpx.AsyncClient,
) -> None:  # fmt: skip
    await publish(open_house, loop_health)
    await consent(open_house, loop_health)
    with sink(tmp_path) as port:
        await route_mail(open_house, loop_health, port)
        await schedule(open_house, loop_health, clock)
        later = await schedule(open_house, loop_health, clock, dedup_key="2", after=timedelta(weeks=3))
        visit = await schedule(open_house, loop_health, clock, dedup_key="3", template_key="visit")
        clock.advance(300)
        await worker.once()
        by_subject = {mail["Subject"]: mail for mail, _ in mails(tmp_path)}
        assert by_subject["Your visit"]["List-Unsubscribe"] is None
        assert by_subject["News"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        found = re.fullmatch(
            r"<(https://comms\.example\.org/u/[\w-]+)>", by_subject["News"]["List-Unsubscribe"]
        )
        assert found
        seen = await browser.get(found[1])  # a scanner looks at every link
        assert seen.status_code == 200
        [before] = await consents.consents(open_house, loop_health, "loop", "p1", 10, None)
        assert before["opted_in"]
        clicked = await browser.post(found[1], data={"List-Unsubscribe": "One-Click"})
        assert (clicked.status_code, clicked.headers.get("Location")) == (200, None)
        clock.advance(3 * 7 * 86_400)
        await worker.once()
    assert len(mails(tmp_path)) == 2
    shown = await messages.get_scheduled(open_house, loop_health, UUID(later))
    assert (shown["status"], shown["failure_reason"]) == ("suppressed", "opted_out")
    assert await status(open_house, loop_health, visit) == "sent"
    [said] = await consents.consents(open_house, loop_health, "loop", "p1", 10, None)
    assert (said["category"], said["channel"], said["source"]) == ("news", "email", "unsubscribe link")


async def test_a_second_attempt_carries_the_same_address(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """A provider that knows our key again wants the same mail."""
    await publish(open_house, loop_health, body="{{ unsubscribe_url }} {{ preferences_url }}")
    await consent(open_house, loop_health)
    sent = await schedule(open_house, loop_health, clock, recipient="flaky@example.org")
    seen = []
    for seconds in (300, 10, 60):
        clock.advance(seconds)
        await worker.once()
        [row] = await open_house.database.owner.fetch("select payload from delivery")
        seen.append(row["payload"])
    assert await status(open_house, loop_health, sent) == "sent"
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("channel", ["email", "sms", "push", "in_app"])
async def test_a_template_fills_in_both_addresses(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, channel: str,
    browser: httpx.AsyncClient,
) -> None:  # fmt: skip
    body = "Hi {{ name }} {{ unsubscribe_url }} {{ preferences_url }}"
    made = await publish(open_house, loop_health, channel, body=body)
    assert made["variables"] == ["name"]
    await consent(open_house, loop_health, About("loop", "p1", channel, "news"))
    given = {"name": "Ada", "unsubscribe_url": "https://elsewhere.test"}
    sent = await schedule(open_house, loop_health, clock, channel=channel, variables=given)
    clock.advance(300)
    await worker.once()
    assert await status(open_house, loop_health, sent) == "sent"
    if channel == "in_app":
        answer = await open_house.database.owner.fetchval("select count(*) from inbox_item")
        assert answer == 1
        return
    [item] = await outbox(open_house, loop_health)
    _, _, unsubscribe, preferences = item["body"].split()
    assert "elsewhere" not in item["body"]
    for url, says in ((unsubscribe, "Unsubscribe"), (preferences, "What we may send you")):
        page = await browser.get(url)
        assert says in page.text, page.text


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ({"category": "transactional", "body": "{{ unsubscribe_url }}"}, "body, line 1: unsubscribe_url has nothing to withdraw"),
        ({"body": "<p>\n{{ preferences_url.host }}"}, "body, line 2: preferences_url.host is a text"),
    ],
)  # fmt: skip
async def test_what_can_t_be_filled_is_refused_at_publication(
    open_house: House, loop_health: Caller, version: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused) as refused:
        await publish(open_house, loop_health, **version)
    assert (refused.value.status, refused.value.code) == (422, "invalid_template")
    assert why in refused.value.message


async def test_without_a_public_address_a_template_can_t_have_one(house: House, loop_health: Caller) -> None:
    with pytest.raises(Refused, match="preferences_url needs COMMS_PUBLIC_URL"):
        await publish(house, loop_health, body="{{ preferences_url }}")


async def test_a_public_address_that_is_gone_is_said_when_a_message_is_accepted(
    open_house: House, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await publish(open_house, loop_health, body="{{ preferences_url }}")
    with pytest.raises(Refused) as refused:
        await schedule(house, loop_health, clock)
    assert (refused.value.status, refused.value.code) == (422, "no_public_url")


async def test_an_accepted_text_has_room_for_its_addresses(
    open_house: House, loop_health: Caller, clock: FakeClock
) -> None:
    """Segments are counted with addresses as long as they will be."""
    await publish(open_house, loop_health, "sms", body="{{ text }}{{ unsubscribe_url }}")
    brand = await open_house.setup.require_brand("loop")
    address = addresses.unsubscribe(open_house, brand, addresses.Reader("p1", "sms", "news"))
    fits = "x" * (10 * 153 - len(address))
    assert await schedule(open_house, loop_health, clock, channel="sms", variables={"text": fits})
    with pytest.raises(Refused, match="11 segments"):
        await schedule(
            open_house, loop_health, clock, channel="sms", dedup_key="2", variables={"text": fits + "x"}
        )


async def test_the_doctor_asks_for_an_address_once_mail_may_be_refused(
    open_house: House, house: House, loop_health: Caller
) -> None:
    async def found(asked: House) -> list[tuple[str, bool]]:
        findings = await health.examine(asked)
        return [(each.found, bool(each.advice)) for each in findings if each.what == "one-click unsubscribe"]

    assert await found(house) == []
    await publish(open_house, loop_health)
    assert await found(house) == [("no address", True)]
    assert await found(open_house) == [("https", False)]
    plain = replace(house, settings=msgspec.structs.replace(Settings(), public_url="http://comms.test"))
    assert await found(plain) == [("http", True)]
