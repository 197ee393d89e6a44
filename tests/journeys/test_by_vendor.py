"""The main journey with a vendor at its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import acceptance, brands
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.http.app import application
from comms.providers.events import Incoming
from comms.providers.http import Http
from comms.testing import FakeClock
from tests.journeys.story import ask, events, status, tools
from tests.providers.contract import KEY, Case
from tests.providers.signing import BY_KIND, recorded, twilio
from tests.providers.vendor_cases import CASES, RESEND, TWILIO
from tests.providers.vendor_server import Asked, Said, VendorServer, vendor

pytestmark = pytest.mark.anyio


@pytest.fixture
async def calling(house: House) -> AsyncIterator[Worker]:
    """A worker with connections to vendors."""
    async with Http() as http:
        yield Worker(house, tools(house, http))


async def route(house: House, caller: Caller, channel: str, case: Case, server: VendorServer) -> None:
    settings = {**case.settings, "base_url": server.url}
    shared = {"baa": False, "limits": {}, "brands": None}
    secrets = {**case.secrets, **BY_KIND[case.kind].secrets}
    await brands.put_provider(house, caller, "v", case.kind, settings, secrets, **shared)  # type: ignore[arg-type]
    brand = await house.setup.require_brand("loop")
    routes = msgspec.structs.replace(brand.settings.routes, **{channel: ["v"]})
    await brands.put_brand(house, caller, "loop", msgspec.structs.replace(brand.settings, routes=routes))


async def test_a_lost_answer_is_asked_for_again_where_the_vendor_has_a_key(
    house: House, loop_health: Caller, clock: FakeClock, calling: Worker
) -> None:
    async with vendor(Said(500), RESEND.taken) as server:
        await route(house, loop_health, "email", RESEND, server)
        made = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
        clock.advance(300)
        assert await calling.once() == 1
        clock.advance(3600)
        assert [await calling.once(), await calling.once()] == [1, 0]
    first, second = server.asked
    assert first == second
    assert first.headers["idempotency-key"] == f"{made['id']}-0"
    assert await status(house, loop_health, made["id"]) == "sent"


async def test_a_lost_answer_is_unknown_where_it_has_none(
    house: House, loop_health: Caller, clock: FakeClock, calling: Worker
) -> None:
    async with vendor(Said(500), TWILIO.taken) as server:
        await route(house, loop_health, "sms", TWILIO, server)
        made = (await acceptance.schedule(house, loop_health, ask(clock))).message
        clock.advance(300)
        assert await calling.once() == 1
        clock.advance(3600)
        assert await calling.once() == 0
    assert len(server.asked) == 1
    assert await status(house, loop_health, made["id"]) == "unknown"


PUBLIC = "https://comms.example"
REPORTING = [case for case in CASES if case.kind in BY_KIND]


def our_key(kind: str, asked: Asked) -> str:
    """Where each vendor was given our key, as its page says that it will come back."""
    if kind in {"mailgun", "vonage"}:
        return asked.form[{"mailgun": "v:comms_key", "vonage": "client-ref"}[kind]]
    if kind == "twilio":
        return asked.form["StatusCallback"].rpartition("?key=")[2]
    body: Any = asked.json
    return str(
        {
            "postmark": lambda: body["Metadata"]["comms_key"],
            "sendgrid": lambda: body["personalizations"][0]["custom_args"]["comms_key"],
            "resend": lambda: body["tags"][0]["value"],
            "telnyx": lambda: body["tags"][0],
        }[kind]()
    )


def delivered(case: Case, asked: Asked, clock: FakeClock) -> Incoming:
    """The vendor's report of what it was asked to send."""
    record = next(each for each in recorded(case.kind) if each.name.startswith("deliver"))
    said = json.loads(json.dumps(record.body).replace(KEY, our_key(case.kind, asked)))
    if case.kind == "twilio":
        return twilio(said, "", 0, asked.form["StatusCallback"])
    return BY_KIND[case.kind].call(said, clock.now())


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize("case", REPORTING, ids=lambda case: case.kind)
async def test_what_a_vendor_was_handed_comes_back_through_the_front_door(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    calling: Worker,
    case: Case,
    lost: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Also where its answer was lost: then its report is the answer."""
    object.__setattr__(house, "settings", msgspec.structs.replace(house.settings, public_url=PUBLIC))
    channel = case.outgoing.channel
    async with vendor(Said(500) if lost else case.taken) as server:
        await route(house, loop_health, channel, case, server)
        made = (await acceptance.schedule(house, loop_health, ask(clock, channel))).message["id"]
        clock.advance(300)
        await calling.once()
    report = delivered(case, server.asked[0], clock)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(house)), base_url=PUBLIC
    ) as anybody:
        where = report.address.replace("/vendor", "/v")
        for _ in range(2):
            answer = await anybody.post(where, content=report.body, headers=dict(report.headers))
            assert (answer.status_code, answer.json()) == (200, {"received": 1})
    told = await events(house, loop_health, made)
    assert told.count("delivered") == 1
    if lost and case.idempotent:  # it waits to be asked again; now nothing need be asked
        clock.advance(3600)
        await calling.once()
    assert await status(house, loop_health, made) == "sent"
    assert len(server.asked) == 1


async def test_a_text_whose_address_was_not_named_is_found_by_its_sid(
    house: House, loop_health: Caller, clock: FakeClock, calling: Worker
) -> None:
    """Without COMMS_PUBLIC_URL it is the messaging service that knows our address."""
    async with vendor(TWILIO.taken) as server:
        await route(house, loop_health, "sms", TWILIO, server)
        made = (await acceptance.schedule(house, loop_health, ask(clock))).message["id"]
        clock.advance(300)
        await calling.once()
    assert "StatusCallback" not in server.asked[0].form
    record = next(each for each in recorded("twilio") if each.name == "delivered")
    where = f"{PUBLIC}/v1/webhooks/v"
    report = twilio(record.body, "", 0, where)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(house)), base_url=PUBLIC
    ) as anybody:
        await anybody.post(where, content=report.body, headers=dict(report.headers))
    assert (await events(house, loop_health, made))[-1] == "delivered"
