"""Persons, facts, options and limits over HTTP: shapes, codes, and who may."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import brands, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from tests.http.bad_inputs import GOOD

pytestmark = pytest.mark.anyio

PERSON = {"brand_id": "loop", "timezone": "Asia/Tokyo", "locale": "ja-JP"}
CAP = {"count": 3, "seconds": 604_800, "then": "defer"}
PROOF = {"question": "PIN?", "answer": "1234"}
SEND_IF: dict[str, str] = {f"fact-{number}": "x" for number in range(11)}


async def said(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
    answer = await client.request(method, path, **more)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def test_what_is_known_of_a_person_is_written_and_shown(
    client: httpx.AsyncClient, house: House
) -> None:
    query = {"brand_id": "loop"}
    assert (await client.get("/v1/persons/ada%2F7", params=query)).status_code == 404
    put = await said(client, "PUT", "/v1/persons/ada%2F7", json=PERSON)
    assert put == {"brand_id": "loop", "person_id": "ada/7", "timezone": "Asia/Tokyo", "locale": "ja-JP"}
    assert await said(client, "GET", "/v1/persons/ada%2F7", params=query) == put
    less = await said(client, "PUT", "/v1/persons/ada%2F7", json={**query, "locale": None})
    assert less == {"brand_id": "loop", "person_id": "ada/7"}
    assert await said(client, "GET", "/v1/persons/ada%2F7", params=query) == less
    text = str(await house.database.owner.fetchval("select jsonb_agg(p)::text from person p"))
    assert "ada" not in text


async def test_a_name_in_an_address_may_hold_a_lines_end(client: httpx.AsyncClient) -> None:
    await said(client, "PUT", "/v1/facts/a%0Ab", json={"brand_id": "loop", "value": "x"})
    shown = await said(client, "GET", "/v1/facts/a%0Ab", params={"brand_id": "loop"})
    assert shown["name"] == "a\nb"


async def test_a_fact_is_put_shown_and_removed(client: httpx.AsyncClient) -> None:
    query = {"brand_id": "loop"}
    put = await said(client, "PUT", "/v1/facts/appointment:123", json={**query, "value": "booked"})
    assert put == {
        **query,
        "name": "appointment:123",
        "value": "booked",
        "changed_at": "2030-01-01T12:00:00.000Z",
    }
    assert await said(client, "GET", "/v1/facts/appointment:123", params=query) == put
    assert await said(client, "DELETE", "/v1/facts/appointment:123", params=query) == {"removed": 1}
    for method in ("GET", "DELETE"):
        answer = await client.request(method, "/v1/facts/appointment:123", params=query)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PUT", "/v1/persons/ada", {**PERSON, "timezone": "Mars/Olympus"}, "timezone"),
        ("PUT", "/v1/persons/ada", {**PERSON, "locale": "e"}, "locale"),
        ("PUT", "/v1/persons/ada", {**PERSON, "zone": "UTC"}, "zone"),
        ("PUT", "/v1/facts/x", {"brand_id": "loop", "value": ""}, "value"),
        ("PUT", "/v1/facts/x", {"brand_id": "loop", "value": 1}, "value"),
        ("PUT", "/v1/facts/x", {"brand_id": "loop"}, "value"),
        (
            "PUT",
            "/v1/brands/loop",
            {"name": "L", "quiet_hours": {"start": "08:00", "end": "08:00"}},
            "start and end",
        ),
        ("PUT", "/v1/brands/loop", {"name": "L", "limits": {"caps": [{**CAP, "count": 0}]}}, "count"),
        ("PUT", "/v1/brands/loop", {"name": "L", "limits": {"caps": [{**CAP, "then": "stop"}]}}, "then"),
        ("PUT", "/v1/brands/loop", {"name": "L", "limits": {"caps": [{"count": 1}]}}, "seconds"),
        ("PUT", "/v1/brands/loop", {"name": "L", "limits": {"caps": [CAP] * 21}}, "limits.caps"),
        ("PUT", "/v1/brands/loop", {"name": "L", "limits": {"cap": []}}, "did you mean caps?"),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"send_if": SEND_IF}}, "options.send_if"),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"send_if": {"": "x"}}}, "options.send_if"),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"send_if": {"x": None}}}, "options.send_if"),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"proof": {"question": "PIN?"}}}, "answer"),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"proof": {**PROOF, "answer": 1}}}, "answer"),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"proof": {**PROOF, "hint": "x"}}}, "hint"),
        (
            "PUT",
            "/v1/brands/loop",
            {"name": "L", "limits": {"requests_per_second": 0}},
            "requests_per_second",
        ),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"subject": ""}}, "options.subject"),
        (
            "POST",
            "/v1/messages/schedule",
            {**GOOD, "options": {"supersede": "x"}},
            "did you mean supersedes?",
        ),
        ("POST", "/v1/messages/schedule", {**GOOD, "options": {"supersedes": "key-1"}}, "options.supersedes"),
    ],
)
async def test_bad_input_is_refused_by_name(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], named: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, list(answer.json())) == (422, ["error", "message"])
    assert answer.json()["error"] in {"validation_error", "unknown_field"}
    assert named in answer.json()["message"]


async def test_limits_are_shown_as_they_were_put(client: httpx.AsyncClient) -> None:
    limits = {"caps": [CAP, {**CAP, "then": "drop", "category": "news", "channel": "sms"}]}
    put = await said(client, "PUT", "/v1/brands/loop", json={"name": "Loop", "limits": limits})
    assert put["limits"] == limits
    assert (await said(client, "GET", "/v1/brands/loop"))["limits"] == limits


async def test_what_is_about_a_subject_is_found_and_cancelled(client: httpx.AsyncClient) -> None:
    about = {"options": {"subject": "appointment:123"}}
    made = await said(client, "POST", "/v1/messages/schedule", json={**GOOD, **about})
    await said(client, "POST", "/v1/messages/schedule", json={**GOOD, "dedup_key": "other"})
    assert "options" not in made
    body = {"brand_id": "loop", "subject": "appointment:123"}
    found = await said(client, "POST", "/v1/messages/scheduled/search", json=body)
    assert [each["id"] for each in found["data"]] == [made["id"]]
    verdicts = await said(client, "POST", "/v1/messages/scheduled/cancel", json=body)
    assert verdicts == {"data": [{"id": made["id"], "status": "cancelled"}]}


async def test_a_line_of_a_batch_may_replace_a_message(client: httpx.AsyncClient) -> None:
    made = await said(client, "POST", "/v1/messages/schedule", json=GOOD)
    lines = [{**GOOD, "dedup_key": f"n{n}", "options": {"supersedes": "key-1"}} for n in range(2)]
    answer = await client.post("/v1/messages/schedule/batch", content="\n".join(map(json.dumps, lines)))
    verdicts = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(each["status"] for each in verdicts) == [201, 409]
    shown = await said(client, "GET", f"/v1/messages/scheduled/{made['id']}")
    assert (shown["status"], shown["failure_reason"]) == ("cancelled", "superseded")


async def test_what_was_cancelled_is_explained_by_its_cancellation(client: httpx.AsyncClient) -> None:
    made = await said(client, "POST", "/v1/messages/schedule", json=GOOD)
    path = f"/v1/messages/{made['id']}/explain"
    refused = (await client.get(path)).json()
    assert refused["error"] == "not_decided"
    assert refused["message"] == "Nothing was decided yet: the message is scheduled."
    await said(client, "POST", f"/v1/messages/scheduled/{made['id']}/cancel")
    told = await said(client, "GET", path)
    assert (told["verdict"], told["rule"]) == ("cancel", "cancelled")
    assert told["details"]["otherwise"] == ["it had not been cancelled"]


async def test_what_ended_with_its_person_is_explained_by_the_erasure(client: httpx.AsyncClient) -> None:
    made = await said(client, "POST", "/v1/messages/schedule", json=GOOD)
    await said(client, "DELETE", f"/v1/persons/{GOOD['person_id']}", params={"brand_id": "loop"})
    told = await said(client, "GET", f"/v1/messages/{made['id']}/explain")
    assert (told["verdict"], told["rule"]) == ("cancel", "person_erased")
    assert told["reason"] == "Its person was erased before any provider had it."
    assert told["details"]["otherwise"] == ["the person had not been erased"]


CALLS = [
    ("PUT", "/v1/persons/ada", PERSON),
    ("GET", "/v1/persons/ada", None),
    ("PUT", "/v1/facts/x", {"brand_id": "loop", "value": "y"}),
    ("GET", "/v1/facts/x", None),
    ("DELETE", "/v1/facts/x", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_another_brand_sees_and_changes_nothing_of_it(
    client: httpx.AsyncClient, house: House, method: str, path: str, body: dict[str, Any] | None
) -> None:
    await brands.put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    await said(client, "PUT", "/v1/persons/ada", json=PERSON)
    await said(client, "PUT", "/v1/facts/x", json={"brand_id": "loop", "value": "y"})
    token = await tokens.create(house, OPERATOR, "other", ["admin:comms"], None, None, None)
    stranger = {"Authorization": f"Bearer {token}"}

    async def code(brand_id: str, headers: dict[str, str]) -> tuple[int, str]:
        whose = {"brand_id": brand_id}
        if body:
            answer = await client.request(method, path, headers=headers, json={**body, **whose})
        else:
            answer = await client.request(method, path, headers=headers, params=whose)
        return answer.status_code, answer.json().get("error", "")

    assert await code("loop", stranger) == (403, "forbidden")
    assert await code("nobody", stranger) == (403, "forbidden")
    assert await code("other", stranger) == ((200, "") if body else (404, "not_found"))
    assert (await said(client, "GET", "/v1/facts/x", params={"brand_id": "loop"}))["value"] == "y"
    assert await code("no", {}) == (422, "unknown_brand")
