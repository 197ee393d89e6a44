"""The document is held against the published reference, and every route against its guard."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.brands import put_brand
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from comms.http.app import DOCUMENT
from comms.http.routes import ROUTES
from tests.http.bad_inputs import GOOD

SEED = Path(__file__).parents[3] / "shared" / "seed" / "post_v1_messages_schedule.txt"

pytestmark = pytest.mark.anyio


def published() -> list[dict[str, Any]]:
    """The three schemas of the published page: request, 201, 422."""
    if not SEED.exists():
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail("the published reference is not here")
        pytest.skip("the published reference is not here: the document is not compared with it")
    text = SEED.read_text()
    return [json.loads(block) for block in re.findall(r"^\{\n.*?^\}$", text, re.MULTILINE | re.DOTALL)]


def shape(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name]
    return found


async def test_the_written_document_is_the_served_one() -> None:
    written = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    assert written == json.loads(json.dumps(DOCUMENT)), "run make openapi"


async def test_the_request_is_the_published_one_member_by_member() -> None:
    wanted = published()[0]
    ours = shape("Schedule")
    assert set(ours["properties"]) - {"options"} == set(wanted["properties"])
    assert set(ours["required"]) == set(wanted["required"])
    for name, member in wanted["properties"].items():
        mine = ours["properties"][name]
        assert {key: mine.get(key) for key in member if key != "additionalProperties"} == {
            key: value for key, value in member.items() if key != "additionalProperties"
        }, name


async def test_the_answer_is_the_published_one_member_by_member() -> None:
    wanted = published()[1]
    ours = shape("ScheduledMessage")
    assert ours["properties"] == wanted["properties"]
    assert ours["required"] == wanted["required"]


async def test_the_refusal_is_the_published_one() -> None:
    wanted = published()[2]
    answers = DOCUMENT["paths"]["/v1/messages/schedule"]["post"]["responses"]
    ours = answers["422"]["content"]["application/json"]["schema"]
    assert ours["required"] == wanted["required"]
    assert set(ours["properties"]) == set(wanted["properties"])


async def test_the_answer_has_the_thirteen_members_and_no_other(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages/schedule", json=GOOD)
    assert list(answer.json()) == shape("ScheduledMessage")["required"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_is_guarded(house: House, client: httpx.AsyncClient, route: Any) -> None:
    if route.path == "/v1/webhooks/{provider_id}":
        assert route.scope is None  # a provider has no token: tests/http/test_webhooks.py
        return
    assert route.scope
    path = re.sub(r"{\w+}", "01a20a31-cbed-7914-bfa9-4f22b6fa28e7", route.path)
    naked = {"Authorization": ""}
    answer = await client.request(route.method, path, headers=naked)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
    answer = await client.request(route.method, path, headers={"Authorization": "Bearer comms_nothing"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    other = "manage:templates" if route.scope == "read:audit" else "read:audit"
    powerless = await tokens.create(house, OPERATOR, "loop", [other], None, None, None)
    answer = await client.request(route.method, path, headers={"Authorization": f"Bearer {powerless}"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert route.scope in answer.headers["WWW-Authenticate"]


async def test_a_revoked_token_is_refused_within_a_second(house: House, client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/messages/recent", params={"brand_id": "loop"})).status_code == 200
    await tokens.revoke(house, OPERATOR, "everything")
    house.clock.advance(0.5)  # type: ignore[attr-defined]
    assert (await client.get("/v1/messages/recent", params={"brand_id": "loop"})).status_code == 401


async def test_another_brands_token_is_told_nothing(house: House, client: httpx.AsyncClient) -> None:
    await put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    made = (await client.post("/v1/messages/schedule", json=GOOD)).json()
    token = await tokens.create(
        house, OPERATOR, "other", ["write:messages", "read:messages"], None, None, None
    )
    stranger = {"Authorization": f"Bearer {token}"}
    answer = await client.post("/v1/messages/schedule", json=GOOD, headers=stranger)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    for method, path in (
        ("GET", f"/v1/messages/scheduled/{made['id']}"),
        ("GET", f"/v1/messages/{made['id']}"),
        ("POST", f"/v1/messages/scheduled/{made['id']}/cancel"),
        ("GET", f"/v1/messages/{made['id']}/timeline"),
    ):
        answer = await client.request(method, path, headers=stranger)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), path


async def test_open_pages_need_no_token(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/docs/style.css", "/v1/openapi.json"):
        assert (await client.get(path, headers={"Authorization": ""})).status_code == 200


async def test_the_replay_says_so(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/messages/schedule", json=GOOD)
    again = await client.post(
        "/v1/messages/schedule", json={**GOOD, "scheduled_at": "2030-01-01T14:00:00+01:00"}
    )
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers


async def test_send_after_schedule_is_409_and_schedule_after_send_422(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/messages/schedule", json=GOOD)).json()
    send = {name: value for name, value in GOOD.items() if name != "scheduled_at"}
    answer = await client.post("/v1/messages/send", json=send)
    assert (answer.status_code, answer.json()["error"]) == (409, "dedup_key_used")
    assert answer.headers["Location"] == f"/v1/messages/{made['id']}"
    sent = await client.post(
        "/v1/messages/send", json={**send, "dedup_key": "k2"}, headers={"Prefer": "wait=0"}
    )
    assert sent.status_code == 200
    answer = await client.post("/v1/messages/schedule", json={**GOOD, "dedup_key": "k2"})
    assert (answer.status_code, answer.json()["error"]) == (422, "dedup_key_conflict")


async def test_lists_are_newest_first_and_paged(client: httpx.AsyncClient, house: House) -> None:
    for number in range(5):
        await client.post("/v1/messages/schedule", json={**GOOD, "dedup_key": f"k{number}"})
        house.clock.advance(0.001)  # type: ignore[attr-defined]
    seen: list[str] = []
    parameters = {"brand_id": "loop", "limit": "2"}
    while True:
        page = (await client.get("/v1/messages/scheduled", params=parameters)).json()
        seen += [message["dedup_key"] for message in page["data"]]
        if "next_cursor" not in page:
            break
        parameters["cursor"] = page["next_cursor"]
    assert seen == ["k4", "k3", "k2", "k1", "k0"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "validation_error"),
        ({"brand_id": "loop", "limit": "0"}, "validation_error"),
        ({"brand_id": "loop", "limit": "1001"}, "validation_error"),
        ({"brand_id": "loop", "limit": "ten"}, "validation_error"),
        ({"brand_id": "loop", "cursor": "x"}, "validation_error"),
        ({"brand_id": "loop", "chanel": "sms"}, "unknown_field"),
        ({"brand_id": "loop", "from": "yesterday"}, "validation_error"),
        ({"brand_id": "loop", "channel": "fax"}, "validation_error"),
        ({"brand_id": "a\0b"}, "validation_error"),
        ({"brand_id": "nobody", "person_id": "p"}, "unknown_brand"),
    ],
)
async def test_bad_queries(client: httpx.AsyncClient, parameters: dict[str, str], code: str) -> None:
    answer = await client.get("/v1/messages/scheduled", params=parameters)
    assert (answer.status_code, answer.json()["error"]) == (422, code)


@pytest.mark.parametrize(
    "path", ["/v1/brands/%00", "/v1/providers/" + "x" * 256, "/v1/inbox/a%00b?brand_id=loop"]
)
async def test_names_in_addresses_are_bounded(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/messages/schedule", "POST"),
        ("PATCH", "/v1/messages/scheduled/cancel", "POST"),
        ("OPTIONS", "/v1/devices", "PUT, GET, DELETE, HEAD"),
        ("TRACE", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_method_that_an_address_does_not_know(
    client: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize(
    "path", ["/v1/messages/x", "/v1/messages/scheduled/%00", "/v1/nothing", "/v1/brands/nobody", "//v1"]
)
async def test_bad_addresses(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "Loop\n"}, "name"),
        ({"name": "Loop", "timezone": "Mars/Olympus"}, "timezone"),
        ({"name": "Loop", "timezone": "../../etc/passwd"}, "timezone"),
        ({"name": "Loop", "timezone": ""}, "timezone"),
        ({"name": "Loop", "locale": "e"}, "locale"),
        ({"name": "Loop", "routes": {"fax": ["sand"]}}, "routes"),
        ({"name": "Loop", "routes": {"sms": "sand"}}, "routes.sms"),
        ({"name": "Loop", "senders": {"email": {"address": "nobody"}}}, "address"),
        ({"name": "Loop", "senders": {"email": {"address": "a@b.org", "name": "x\r\nBcc: y"}}}, "name"),
        ({"name": "Loop", "senders": {"email": {"address": "a@b.org", "reply_to": "x@y@z"}}}, "reply_to"),
        ({"name": "Loop", "senders": {"sms": {"number": "+49 1"}}}, "number"),
        ({"name": "Loop", "quiet_hours": {"start": "24:00", "end": "08:00"}}, "quiet_hours.start"),
        ({"name": "Loop", "retention_days": 0}, "retention_days"),
        ({"name": "Loop", "zone": "UTC"}, "timezone"),
    ],
    ids=str,
)
async def test_a_brand_that_can_not_be(
    client: httpx.AsyncClient, settings: dict[str, Any], named: str
) -> None:
    answer = await client.put("/v1/brands/other", json=settings)
    assert (answer.status_code, answer.json()["error"]) in {(422, "validation_error"), (422, "unknown_field")}
    assert named in answer.json()["message"]
    assert (await client.get("/v1/brands/other")).status_code == 404


async def test_a_brand_is_shown_as_it_was_put(client: httpx.AsyncClient) -> None:
    settings = {
        "name": "Loop",
        "timezone": "Europe/Berlin",
        "locale": "de",
        "senders": {
            "email": {"address": "care@loop.test", "name": "Loop"},
            "sms": {"number": "+15555550100"},
        },
        "routes": {"email": ["sand"]},
        "quiet_hours": {"start": "21:00", "end": "08:00", "categories": ["news"]},
        "retention_days": 90,
    }
    made = await client.put("/v1/brands/other", json=settings)
    assert made.json() == {"brand_id": "other", **settings}
    assert (await client.get("/v1/brands/other")).json() == made.json()
