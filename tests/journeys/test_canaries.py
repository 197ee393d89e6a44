"""Canaries: through the provider that they watch, at their interval, measured to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import acceptance, canaries, health, metrics, tokens, watching
from comms.actions import events as provider_events
from comms.actions.brands import put_brand, put_provider
from comms.actions.house import House
from comms.actions.templates import NewTemplate, add_version, create
from comms.cli.local import OPERATOR
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandSettings
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.schedule import DEFAULT_MAX_LATE
from comms.http.app import DOCUMENT, application
from comms.providers.base import Misconfigured
from comms.providers.events import Event, Happening
from comms.testing import FakeClock
from tests.journeys.story import ask, events, outbox
from tests.journeys.test_doubts import provide

__all__ = ["provide"]

pytestmark = pytest.mark.anyio

PUBLIC = "https://comms.example.org"
WATCH = canaries.Watch("loop", "sms", "canary", "+15555550123", 60)
BODY = {"brand_id": "loop", "channel": "sms", "template_key": "canary", "recipient": "+15555550123"}


@pytest.fixture
async def operator(house: House, loop_health: Caller) -> Caller:
    """Somebody with a template for canaries, and a provider that stands on no route."""
    new = NewTemplate("loop", "canary", "sms", None, "transactional", DEFAULT_MAX_LATE, "prefer_silence")
    template = await create(house, loop_health, new)
    await add_version(house, loop_health, UUID(template["id"]), {"body": "All is well."}, draft=False)
    await put_provider(house, loop_health, "spare", "sandbox", {}, {}, baa=False, limits={}, brands=None)
    return loop_health


def reached(house: House, public_url: str | None) -> House:
    """A house that persons can reach there; None: nowhere."""
    return replace(house, settings=msgspec.structs.replace(house.settings, public_url=public_url))


@asynccontextmanager
async def calling(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever runs the whole, over HTTP."""
    token = await tokens.create(house, OPERATOR, "*", ["admin:comms"], "everything", None, None)
    transport = httpx.ASGITransport(application(house))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://comms.test", headers=headers
    ) as opened:
        yield opened


@pytest.fixture
async def client(house: House, operator: Caller) -> AsyncIterator[httpx.AsyncClient]:
    assert operator.brand_id == "*"
    async with calling(house) as opened:
        yield opened


async def shown(house: House, caller: Caller, provider_id: str = "spare") -> dict[str, Any]:
    """How the canary is doing."""
    details: dict[str, Any] = (await canaries.get(house, caller, provider_id))["details"]
    return details


async def send(house: House, worker: Worker) -> None:
    """One round: begun, delivered, looked at."""
    await watching.keep(house)
    await worker.once()
    await watching.keep(house)


async def figures(house: House) -> list[str]:
    told = (await metrics.scrape(house)).decode().splitlines()
    return [line for line in told if line.startswith("comms_canary")]


async def found(house: House) -> str:
    """What doctor, and with it the console's overview, says of it."""
    [finding] = [each for each in await health.examine(house) if each.what.startswith("canary")]
    return f"{finding.found} -> {finding.advice}"


async def test_a_canary_goes_through_its_provider_at_its_interval_whatever_the_route_says(
    house: House, operator: Caller, worker: Worker, clock: FakeClock
) -> None:
    await canaries.put(house, operator, "spare", WATCH)
    assert await shown(house, operator) == {"state": "waiting"}
    for passed in (0, 59, 1):
        clock.advance(passed)
        await send(house, worker)
    assert [each["provider_id"] for each in await outbox(house, operator)] == ["spare", "spare"]
    assert (await shown(house, operator))["state"] == "well"
    told = (await metrics.scrape(house)).decode()
    assert 'comms_canary_up{provider="spare"} 1.0' in told
    assert 'comms_canary_seconds{provider="spare",until="sent"} 0.0' in told
    assert 'comms_accepted_total{channel="sms",kind="canary",replayed="false"} 2.0' in told
    assert await found(house) == "sent after 0 ms -> None"


@pytest.mark.parametrize("is_watched", [True, False])
async def test_one_goes_through_its_provider_while_those_of_the_route_are_ill_and_nothing_else_does(
    house: House, operator: Caller, worker: Worker, clock: FakeClock, provide: Any, *, is_watched: bool
) -> None:
    bad = await provide("bad", lambda _: Misconfigured("login_refused"))
    await acceptance.schedule(house, operator, ask(clock))
    clock.advance(300)
    await worker.once()
    assert len(bad.called) == 1
    soon = timedelta(milliseconds=1)
    shared = ask(clock, after=soon, dedup_key="shared", template_key="canary", variables={})
    other = await acceptance.schedule(house, operator, ask(clock, after=soon, dedup_key="other"))
    clock.advance(1)  # the breaker's pause is longer, and the set-up is looked at again
    await canaries.put(house, operator, "spare", WATCH)
    if is_watched:
        await watching.keep(house)
        assert await worker.once() == 1
        await watching.keep(house)
        assert (await shown(house, operator))["state"] == "well"
    else:  # its template is like any other then
        assert await worker.once() == 0
        clock.advance(0.6)
        await canaries.remove(house, operator, "spare")
        waiting = await acceptance.schedule(house, operator, shared)
        assert await worker.once() == 0
        assert await events(house, operator, waiting.message["id"]) == ["accepted"]
    assert [each["provider_id"] for each in await outbox(house, operator)] == ["spare"] * is_watched
    assert await events(house, operator, other.message["id"]) == ["accepted"]
    assert len(bad.called) == 1


async def test_many_workers_that_look_at_once_begin_one(
    house: House, operator: Caller, worker: Worker
) -> None:
    await canaries.put(house, operator, "spare", WATCH)
    await asyncio.gather(*(watching.keep(house) for _ in range(8)))
    assert await worker.once() == 1


async def test_one_that_is_refused_is_seen_everywhere_until_one_goes_well(
    house: House, operator: Caller, worker: Worker
) -> None:
    await canaries.put(house, operator, "spare", WATCH._replace(recipient="+15555550001"))
    await send(house, worker)
    told = await shown(house, operator)
    assert (told["state"], told["problem"]) == ("failing", "provider_rejected: recipient_rejected")
    assert await figures(house) == ['comms_canary_up{provider="spare"} 0.0']
    assert (await found(house)).startswith(
        "provider_rejected: recipient_rejected, never went well -> its message"
    )
    await canaries.put(house, operator, "spare", WATCH)
    await send(house, worker)
    assert (await shown(house, operator))["state"] == "well"


async def test_one_that_nobody_sends_is_failing(house: House, operator: Caller, clock: FakeClock) -> None:
    await canaries.put(house, operator, "spare", WATCH)
    clock.advance(61)
    assert (await shown(house, operator))["problem"] == "not_tried"
    await watching.keep(house)
    clock.advance(59)
    await watching.keep(house)
    assert await shown(house, operator) | {"begun_at": "", "message_id": ""} == {
        "state": "waiting",
        "begun_at": "",
        "message_id": "",
    }
    clock.advance(2)
    await watching.keep(house)
    assert (await shown(house, operator))["problem"] == "not_sent"


async def test_what_can_not_be_accepted_says_why(house: House, operator: Caller) -> None:
    await canaries.put(house, operator, "spare", WATCH._replace(template_key="visit"))
    await watching.keep(house)
    assert (await shown(house, operator))["problem"] == "missing_variables"


async def test_a_provider_that_has_reported_a_delivery_is_expected_to_report_the_next(
    house: House, operator: Caller, worker: Worker, clock: FakeClock
) -> None:
    await canaries.put(house, operator, "spare", WATCH)
    await send(house, worker)
    clock.advance(2.5)
    message_id = (await shown(house, operator))["message_id"]
    delivered = Event(
        id="1", event="delivered", at=clock.now(), key=f"{message_id}-0", recipient=WATCH.recipient
    )
    heard: list[Happening] = [delivered]
    await provider_events.hear(house, "spare", heard)
    await watching.keep(house)
    assert (await shown(house, operator))["delivered_ms"] == 2500
    assert await found(house) == "sent after 0 ms, delivered after 2500 ms -> None"
    clock.advance(58)
    await send(house, worker)
    clock.advance(60)
    await send(house, worker)
    assert (await shown(house, operator))["problem"] == "not_delivered"


@pytest.mark.parametrize(("public_url", "code"), [(PUBLIC, "missing_proof"), (None, "no_public_url")])
async def test_what_a_template_lacks_stands_in_the_contract_of_both_pings_and_of_sending(
    house: House, operator: Caller, public_url: str | None, code: str
) -> None:
    new = NewTemplate("loop", "page", "sms", None, "transactional", DEFAULT_MAX_LATE, "prefer_silence")
    template = UUID((await create(house, operator, new))["id"])
    page = {"body": "{{ secure_link }}", "secure": {"title": "All", "body": "is well."}}
    await add_version(reached(house, PUBLIC), operator, template, page, draft=False)
    await canaries.put(house, operator, "spare", WATCH._replace(template_key="page"))
    send = {name: BODY[name] for name in ("brand_id", "channel", "recipient")}
    send |= {"template_key": "page", "person_id": "p1", "dedup_key": "k"}
    async with calling(reached(house, public_url)) as client:
        for path, body in {
            "/v1/providers/{provider_id}/ping": None,
            "/v1/admin/sla/sms-ping": None,
            "/v1/messages/send": send,
        }.items():
            refused = await client.post(path.format(provider_id="spare"), json=body)
            assert (refused.status_code, refused.json()["error"]) == (422, code)
            said = DOCUMENT["paths"][path]["post"]["responses"]["422"]["content"]["application/json"]
            assert code in said["schema"]["properties"]["error"]["enum"], path


async def working(worker: Worker, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await worker.once()
        await asyncio.sleep(0.01)


async def test_a_ping_answers_once_it_is_sent(client: httpx.AsyncClient, worker: Worker) -> None:
    for path in ("/v1/providers/spare/ping", "/v1/admin/sla/sms-ping"):
        refused = await client.post(path)
        assert (refused.status_code, refused.json()["error"]) == (422, "no_canary")
    made = await client.put("/v1/providers/spare/canary", json=BODY)
    assert made.json() == {
        "provider_id": "spare",
        **BODY,
        "every_seconds": 300,
        "details": {"state": "waiting"},
    }
    stop = asyncio.Event()
    at_work = asyncio.create_task(working(worker, stop))
    for path in ("/v1/providers/spare/ping", "/v1/admin/sla/sms-ping"):
        answer = await client.post(path)
        assert answer.status_code == 200
        assert answer.json() == {"delivered": True, "latency_ms": 0}  # by the clock that stands still
    stop.set()
    await at_work
    waited = await client.post("/v1/admin/sla/sms-ping", headers={"Prefer": "wait=0"})
    assert waited.json()["delivered"] is False  # nobody is at work
    assert (await client.delete("/v1/providers/spare/canary")).json() == {"removed": 1}
    assert (await client.get("/v1/providers/spare/canary")).json()["error"] == "no_canary"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"brand_id": "nobody"}, "unknown_brand"),
        ({"recipient": "no number"}, "invalid_recipient"),
        ({"channel": "in_app", "recipient": "ada"}, "no_route"),
        ({"every_seconds": 9}, "validation_error"),
        ({"recipients": []}, "unknown_field"),
    ],
)
async def test_what_does_not_fit_is_refused_when_it_is_set_up(
    house: House, operator: Caller, client: httpx.AsyncClient, changed: dict[str, Any], code: str
) -> None:
    await put_provider(
        house,
        operator,
        "texts",
        "twilio",
        {"account_sid": "AC" + "0" * 32, "from": "+15555550100"},
        {"auth_token": "t"},
        baa=False,
        limits={},
        brands=None,
    )
    answer = await client.put("/v1/providers/texts/canary", json=BODY | changed)
    assert (answer.status_code, answer.json()["error"]) == (422, code)


async def test_canaries_are_for_those_who_run_the_whole(house: House, client: httpx.AsyncClient) -> None:
    mine = Caller("mine", "loop", frozenset(["admin:comms"]), UUID(int=1))
    for asked in (
        canaries.put(house, mine, "spare", WATCH),
        canaries.get(house, mine, "spare"),
        canaries.remove(house, mine, "spare"),
        canaries.ping(house, mine, "spare", 0),
        canaries.ping_texts(house, mine, 0),
    ):
        with pytest.raises(Refused, match="forbidden"):
            await asked
    assert (await client.put("/v1/providers/none/canary", json=BODY)).status_code == 404


async def test_a_brand_that_only_a_canary_writes_for_needs_no_route(house: House, operator: Caller) -> None:
    await put_brand(house, operator, "watch", BrandSettings(name="Canaries"))
    new = NewTemplate("watch", "canary", "sms", None, "transactional", DEFAULT_MAX_LATE, "prefer_silence")
    template = await create(house, operator, new)
    await add_version(house, operator, UUID(template["id"]), {"body": "All is well."}, draft=False)
    assert "brand watch, sms" in await asked_about(house)
    await canaries.put(house, operator, "spare", canaries.Watch("watch", "sms", "canary", "+15555550123", 60))
    assert "brand watch, sms" not in await asked_about(house)


async def asked_about(house: House) -> set[str]:
    """What the doctor has advice for."""
    return {each.what for each in await health.examine(house) if each.advice}
