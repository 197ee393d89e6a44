"""What stands around a request: its address, its size, its patience, and the end of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx2 as httpx
import msgspec
import pytest

from comms.actions import brands, devices, health, inbox, messages, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.dispatch.worker import Worker
from comms.domain.brand import Routes, Senders
from comms.domain.caller import Caller
from comms.http import routing
from comms.testing import FakeClock
from tests.http.bad_inputs import GOOD
from tests.journeys.story import tools

pytestmark = pytest.mark.anyio

SEND = {name: value for name, value in GOOD.items() if name != "scheduled_at"}


async def test_a_body_is_refused_by_the_size_that_it_announces(client: httpx.AsyncClient) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    headers = {"Content-Length": "300000"}
    answer = await client.post("/v1/messages/schedule", content=never(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")


async def test_a_body_that_never_comes_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(routing, "_BODY_SECONDS", 0.01)
    answer = await client.post("/v1/messages/schedule", content=stalls())
    assert (answer.status_code, answer.json()["error"]) == (408, "request_timeout")


async def test_while_the_service_ends_nothing_new_is_begun_and_who_waits_is_told(
    client: httpx.AsyncClient, house: House
) -> None:
    waiting = asyncio.create_task(
        client.post("/v1/messages/send", json=SEND, headers={"Prefer": "respond-async, wait=30"})
    )
    while not await house.database.owner.fetchval("select count(*) from message"):
        pass
    house.draining.set()
    answer = await waiting
    assert (answer.status_code, answer.json()["status"]) == (200, "scheduled")
    answer = await client.post("/v1/messages/schedule", json=GOOD)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"


async def test_what_was_accepted_is_not_called_unavailable(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = messages.get
    looks = iter([True, False, False])

    async def away_at_times(*arguments: Any) -> Any:
        if next(looks, True):
            return await asked(*arguments)
        raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr(messages, "get", away_at_times)
    answer = await client.post("/v1/messages/send", json=SEND, headers={"Prefer": "wait=0"})
    assert answer.status_code == 200


async def test_messages_that_were_sent_at_once_are_found_like_others(
    client: httpx.AsyncClient, house: House
) -> None:
    body = {**SEND, "channel": "email", "recipient": "lost@x.test"}
    sent = (await client.post("/v1/messages/send", json=body, headers={"Prefer": "wait=0"})).json()
    await Worker(house, tools(house)).once()
    parameters = {"brand_id": "loop", "status": "unknown"}
    listed = (await client.get("/v1/messages/scheduled", params=parameters)).json()["data"]
    assert [each["id"] for each in listed] == [sent["message_id"]]


@pytest.mark.parametrize("path", ["/v1/messages/recent", "/v1/messages/scheduled", "/v1/messaging/templates"])
async def test_a_brand_that_is_not_there_is_said_so(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, params={"brand_id": "nobody"})
    assert (answer.status_code, answer.json()["error"]) == (422, "unknown_brand")


async def test_a_name_may_hold_a_slash(client: httpx.AsyncClient, house: House) -> None:
    body = {**SEND, "channel": "in_app", "recipient": "a/b", "person_id": "a/b"}
    await client.post("/v1/messages/send", json=body, headers={"Prefer": "wait=0"})
    await Worker(house, tools(house)).once()
    parameters = {"brand_id": "loop"}
    items = (await client.get("/v1/inbox/a%2Fb", params=parameters)).json()["data"]
    assert [item["person_id"] for item in items] == ["a/b"]
    headers = {"X-Brand-Id": "loop"}
    read = {"ids": [items[0]["id"]]}
    answer = await client.post("/v1/inbox/a%2Fb/bulk-read", json=read, headers=headers)
    assert answer.json() == {"updated": 1}


async def test_the_brand_of_a_header_is_the_tokens_own(client: httpx.AsyncClient, house: House) -> None:
    path, body = "/v1/inbox/ada/bulk-read", {"ids": ["01a20a31-cbed-7914-bfa9-4f22b6fa28e7"]}
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    token = await tokens.create(house, OPERATOR, "loop", ["write:messages"], None, None, None)
    bound = {"Authorization": f"Bearer {token}"}
    assert (await client.post(path, json=body, headers=bound)).json() == {"updated": 0}
    answer = await client.post(path, json=body, headers={**bound, "X-Brand-Id": "other"})
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


@pytest.mark.parametrize("path", ["/v1/inbox/ada", "/v1/sandbox/outbox"])
async def test_what_was_kept_is_paged(
    client: httpx.AsyncClient, house: House, loop_health: Caller, path: str
) -> None:
    channel = "in_app" if "inbox" in path else "sms"
    for number in range(5):
        body = {**SEND, "channel": channel, "person_id": "ada", "dedup_key": f"k{number}"}
        await client.post("/v1/messages/send", json=body, headers={"Prefer": "wait=0"})
        house.clock.advance(0.001)  # type: ignore[attr-defined]
        await Worker(house, tools(house)).once()
    parameters: dict[str, Any] = {"brand_id": "loop", "limit": 2}
    seen: list[str] = []
    while True:
        answer = (await client.get(path, params=parameters)).json()
        seen += [item.get("id") or item["message_id"] for item in answer["data"]]
        if "next_cursor" not in answer:
            break
        parameters["cursor"] = answer["next_cursor"]
    assert len(seen) == len(set(seen)) == 5
    assert loop_health.brand_id == "*"


async def test_templates_are_paged(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    parameters: dict[str, Any] = {"brand_id": "loop", "limit": 3}
    while True:
        answer = (await client.get("/v1/messaging/templates", params=parameters)).json()
        seen += [item["channel"] for item in answer["items"]]
        if "next_cursor" not in answer:
            break
        parameters["cursor"] = answer["next_cursor"]
    assert sorted(seen) == ["email", "in_app", "push", "sms"]


async def put_mail(house: House, caller: Caller, tls: str, **changes: Any) -> None:
    settings = {"host": "localhost", "port": 1, "tls": tls}
    shared = {"baa": True, "limits": {}, "brands": None}
    await brands.put_provider(house, caller, "mail", "smtp", settings, {}, **shared)  # type: ignore[arg-type]
    brand = await house.setup.require_brand("loop")
    changed = msgspec.structs.replace(brand.settings, routes=Routes(email=["mail"], sms=["sand"]), **changes)
    await brands.put_brand(house, caller, "loop", changed)


async def schedule_mail(client: httpx.AsyncClient, *, hipaa: bool) -> tuple[int, str | None]:
    body = {**GOOD, "channel": "email", "recipient": "ada@x.test", "hipaa": hipaa}
    answer = await client.post("/v1/messages/schedule", json=body)
    return answer.status_code, answer.json().get("error")


async def test_a_baa_on_a_line_that_anybody_can_read_is_none(
    client: httpx.AsyncClient, house: House, loop_health: Caller
) -> None:
    await put_mail(house, loop_health, "none")
    assert await schedule_mail(client, hipaa=True) == (422, "no_route")
    await put_mail(house, loop_health, "starttls")
    assert await schedule_mail(client, hipaa=True) == (201, None)


async def test_mail_comes_from_somebody(client: httpx.AsyncClient, house: House, loop_health: Caller) -> None:
    await put_mail(house, loop_health, "starttls", senders=Senders())
    assert await schedule_mail(client, hipaa=False) == (422, "no_route")


async def test_a_provider_without_the_secret_that_it_sends_with_is_no_route(
    client: httpx.AsyncClient, house: House, loop_health: Caller
) -> None:
    """It is said where the message is accepted, and to operators."""
    shared: dict[str, Any] = {"baa": False, "limits": {}, "brands": None}
    await put_mail(house, loop_health, "starttls")
    settings = {"host": "mail.example.org", "username": "comms"}
    for kind, given, lacks in (("smtp", settings, "password"), ("sendgrid", {}, "api_key")):
        await brands.put_provider(house, loop_health, "mail", kind, given, {}, **shared)
        answer = await client.post(
            "/v1/messages/schedule", json={**GOOD, "channel": "email", "recipient": "ada@x.test"}
        )
        assert (answer.status_code, answer.json()["error"]) == (422, "no_route")
        assert answer.json()["message"] == f"The provider mail has no secret {lacks}; set it."
        found = [each.found for each in await health._route(house, "loop", "email")]
        assert found == [f"mail has no secret {lacks}"]
    await brands.put_provider(house, loop_health, "mail", "sendgrid", {}, {"api_key": "SG.x"}, **shared)
    assert await schedule_mail(client, hipaa=False) == (201, None)


@pytest.mark.parametrize(
    "weights",
    [{"sms": {"nobody": 1}}, {"sms": {"sand": 0}}, {"email": {"box": 1}}, {"fax": {}}, {"sms": ["sand"]}],
)
async def test_weights_are_of_those_on_the_route(client: httpx.AsyncClient, weights: Any) -> None:
    body = {"name": "Loop", "routes": {"sms": ["sand"], "in_app": ["box"]}, "route_weights": weights}
    answer = await client.put("/v1/brands/loop", json=body)
    assert (answer.status_code, answer.json()["error"]) in {(422, "validation_error"), (422, "unknown_field")}
    good = {**body, "route_weights": {"sms": {"sand": 7}}}
    answer = await client.put("/v1/brands/loop", json=good)
    assert (answer.status_code, answer.json()["route_weights"]) == (200, {"sms": {"sand": 7}})


async def test_a_brand_may_say_that_all_of_its_messages_are_health_data(
    client: httpx.AsyncClient, house: House, loop_health: Caller
) -> None:
    brand = await house.setup.require_brand("loop")
    await brands.put_brand(house, loop_health, "loop", msgspec.structs.replace(brand.settings, hipaa=True))
    answer = await client.post("/v1/messages/schedule", json=GOOD)
    assert (answer.status_code, answer.json()["error"]) == (422, "phi_on_open_surface")


async def test_a_devices_id_is_the_persons_and_there(
    client: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    device = await devices.put(house, loop_health, "loop", "p1", "fcm", "token", None)
    push = {**GOOD, "channel": "push", "recipient": device["id"]}
    hers = await client.post("/v1/messages/schedule", json=push)
    assert hers.status_code == 201
    his = await client.post("/v1/messages/schedule", json={**push, "person_id": "p2", "dedup_key": "k2"})
    assert (his.status_code, his.json()["error"]) == (422, "invalid_recipient")
    await client.delete("/v1/devices", params={"brand_id": "loop", "id": device["id"]})
    clock.advance(365 * 86_400)
    clock.instant = clock.instant.replace(year=2030, month=1, day=1, hour=13)
    await Worker(house, tools(house)).once()
    shown = (await client.get(f"/v1/messages/scheduled/{hers.json()['id']}")).json()
    assert (shown["status"], shown["failure_reason"]) == ("failed", "no_device")
    kept, _ = await inbox.outbox(house, loop_health, "loop", 10)
    assert kept == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"kind": "fax"}, "kind"),
        ({"kind": "sandbox", "limits": {"per_second": -1}}, "limits.per_second"),
        ({"kind": "sandbox", "limits": {"concurrency": 0}}, "limits.concurrency"),
        ({"kind": "sandbox", "limits": {"rate": 1}}, "limits.rate"),
        ({"kind": "sandbox", "settings": {"host": "xylophone"}}, "settings"),
        ({"kind": "smtp", "settings": {}}, "host is missing"),
        (
            {"kind": "smtp", "settings": {"host": "h", "tls": "xylophone"}},
            "tls must be one of none, starttls, tls",
        ),
        ({"kind": "smtp", "settings": {"host": "h", "port": 70_000}}, "port must be at most 65535"),
        ({"kind": "smtp", "settings": {"host": "h"}, "secrets": {"key": "xylophone"}}, "secrets"),
    ],
    ids=str,
)
async def test_a_provider_that_can_not_be(
    client: httpx.AsyncClient, body: dict[str, Any], named: str
) -> None:
    answer = await client.put("/v1/providers/new", json=body)
    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert "xylophone" not in answer.json()["message"]


async def test_another_kind_does_not_inherit_secrets(client: httpx.AsyncClient) -> None:
    mail = {"kind": "smtp", "settings": {"host": "h"}, "secrets": {"password": "p"}}
    assert (await client.put("/v1/providers/new", json=mail)).json()["secrets"] == {"password": "set"}
    assert (await client.put("/v1/providers/new", json={**mail, "secrets": {}})).json()["secrets"] != {}
    assert (await client.put("/v1/providers/new", json={"kind": "sandbox"})).json()["secrets"] == {}


async def test_any_brand_is_no_brand(client: httpx.AsyncClient) -> None:
    answer = await client.put("/v1/brands/*", json={"name": "x"})
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")


async def test_one_and_one_point_nought_are_the_same_content(client: httpx.AsyncClient) -> None:
    for number in ("1", "1.0", "1e0"):
        body = {**GOOD, "variables": {"name": "Ada", "n": "@"}}
        text = msgspec.json.encode(body).replace(b'"@"', number.encode())
        assert (await client.post("/v1/messages/schedule", content=text)).status_code == 201


@pytest.mark.parametrize("number", [int(1.7e308), int(-1.7e308)], ids=["greatest", "least"])
async def test_the_least_number_is_as_good_as_the_greatest(client: httpx.AsyncClient, number: int) -> None:
    answer = await client.post(
        "/v1/messages/schedule", json={**GOOD, "variables": {"name": "Ada", "n": number}}
    )
    assert answer.status_code == 201


async def test_the_name_of_a_member_of_variables_is_not_said_back(client: httpx.AsyncClient) -> None:
    text = msgspec.json.encode(GOOD).replace(b'"name":"Ada"', b'"canary":1,"canary":2')
    answer = await client.post("/v1/messages/schedule", content=text)
    assert answer.status_code == 422
    assert "canary" not in answer.json()["message"]


async def test_a_move_of_a_waiting_message_is_told_in_the_promised_form(
    house: House, loop_health: Caller, clock: FakeClock, client: httpx.AsyncClient
) -> None:
    made = (
        await client.post(
            "/v1/messages/schedule", json={**GOOD, "channel": "email", "recipient": "flaky@x.test"}
        )
    ).json()
    clock.instant = clock.instant.replace(hour=13)
    await Worker(house, tools(house)).once()
    entries = await messages.timeline(house, loop_health, UUID(made["id"]))
    until = next(entry["details"]["until"] for entry in entries if entry["event"] == "retried")
    assert len(until) == len("2030-01-01T13:00:01.123Z")
    assert until.endswith("Z")


@pytest.mark.parametrize(
    ("path", "name"), [("consents", "import"), ("preferences", "import"), ("preferences", "link")]
)
async def test_a_person_may_be_called_what_an_address_is(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    answer = await client.get(f"/v1/{path}/{name}", params={"brand_id": "loop"})
    assert (answer.status_code, answer.json()) == (200, {"data": []})
    unknown = await client.put(f"/v1/{path}/{name}")
    assert (unknown.status_code, unknown.headers["Allow"]) == (405, "POST")
