"""Many messages at once, searching for them, and persons' own tokens."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

from comms.actions.house import House
from comms.dispatch.worker import Worker
from tests.http.bad_inputs import GOOD
from tests.journeys.story import tools

pytestmark = pytest.mark.anyio


async def make(client: httpx.AsyncClient, count: int, **changes: Any) -> list[str]:
    made = []
    for number in range(count):
        body = {**GOOD, "dedup_key": f"{changes.get('person_id', '')}{number}", **changes}
        made.append((await client.post("/v1/messages/schedule", json=body)).json()["id"])
    return made


async def test_what_waits_for_a_person_is_cancelled_a_page_at_a_time(client: httpx.AsyncClient) -> None:
    hers = await make(client, 3, person_id="hers")
    his = await make(client, 1, person_id="his")
    body = {"brand_id": "loop", "person_id": "hers", "limit": 2}
    first = (await client.post("/v1/messages/scheduled/cancel", json=body)).json()
    body["cursor"] = first["next_cursor"]
    second = (await client.post("/v1/messages/scheduled/cancel", json=body)).json()
    verdicts = first["data"] + second["data"]
    assert {each["id"] for each in verdicts} == set(hers)
    assert {each["status"] for each in verdicts} == {"cancelled"}
    assert "next_cursor" not in second
    assert (await client.get(f"/v1/messages/scheduled/{his[0]}")).json()["status"] == "scheduled"


async def test_a_verdict_says_why_one_stayed(client: httpx.AsyncClient, house: House) -> None:
    (claimed,) = await make(client, 1)
    house.clock.advance(400 * 86_400)  # type: ignore[attr-defined]
    await Worker(house, tools(house))._take(1)
    body = {"brand_id": "loop", "template_key": GOOD["template_key"]}
    answer = (await client.post("/v1/messages/scheduled/cancel", json=body)).json()
    assert answer == {"data": [{"id": claimed, "status": "sending", "error": "in_flight"}]}


async def test_by_key_twice_is_once_and_nothing_is_nothing(client: httpx.AsyncClient) -> None:
    (made,) = await make(client, 1)
    body = {"brand_id": "loop", "dedup_key": "0"}
    for _ in range(2):
        answer = (await client.post("/v1/messages/scheduled/cancel", json=body)).json()
        assert answer == {"data": [{"id": made, "status": "cancelled"}]}
    body["dedup_key"] = "never used"
    assert (await client.post("/v1/messages/scheduled/cancel", json=body)).json() == {"data": []}


@pytest.mark.parametrize(
    "wanted", [{}, {"dedup_key": "a", "person_id": "b"}, {"person_id": "b", "template_key": "c"}]
)
async def test_exactly_one_says_what_to_cancel(client: httpx.AsyncClient, wanted: dict[str, str]) -> None:
    answer = await client.post("/v1/messages/scheduled/cancel", json={"brand_id": "loop", **wanted})
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")


async def test_what_waits_is_given_the_current_version_where_it_fits(client: httpx.AsyncClient) -> None:
    (fits,) = await make(client, 1, variables={"name": "Ada", "doctor": "Dr. May"})
    (lacks,) = await make(client, 1, person_id="other", variables={"name": "Ada"})
    templates = (await client.get("/v1/messaging/templates", params={"brand_id": "loop"})).json()["items"]
    template = next(each for each in templates if each["channel"] == GOOD["channel"])
    version = {"body": "Hi {{ name }}, {{ doctor }} waits."}
    await client.post(f"/v1/messaging/templates/{template['id']}/versions", json=version)
    body = {"brand_id": "loop", "template_key": GOOD["template_key"], "channel": GOOD["channel"]}
    verdicts = (await client.post("/v1/messages/scheduled/repin", json=body)).json()["data"]
    assert {each["id"]: each.get("error") for each in verdicts} == {fits: None, lacks: "missing_variables"}


async def test_a_search_finds_what_must_not_stand_in_an_address(client: httpx.AsyncClient) -> None:
    (made,) = await make(client, 1, channel="email", recipient="Ada@EXAMPLE.org", person_id="ada")
    await make(client, 1, person_id="bob")
    for wanted in (
        {"recipient": "Ada@example.org"},
        {"recipient": "Ada@Example.Org", "channel": "email"},
        {"person_id": "ada"},
        {"dedup_key": "ada0"},
    ):
        body = {"brand_id": "loop", **wanted}
        found = (await client.post("/v1/messages/scheduled/search", json=body)).json()["data"]
        assert [each["id"] for each in found] == [made], wanted


async def test_a_persons_token_opens_that_persons_inbox_and_nothing_else(client: httpx.AsyncClient) -> None:
    body = {"brand_id": "loop", "person_id": "ada", "expires_in": 60}
    made = await client.post("/v1/tokens/person", json=body)
    assert made.status_code == 201
    hers = {"Authorization": f"Bearer {made.json()['token']}"}
    inbox = {"brand_id": "loop"}
    assert (await client.get("/v1/inbox/ada", params=inbox, headers=hers)).status_code == 200
    assert (await client.get("/v1/inbox/bob", params=inbox, headers=hers)).status_code == 403
    assert (await client.get("/v1/inbox/ada", params={"brand_id": "x"}, headers=hers)).status_code == 403
    assert (await client.get("/v1/messages/recent", params=inbox, headers=hers)).status_code == 403
