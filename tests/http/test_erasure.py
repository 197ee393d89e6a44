"""`DELETE /v1/persons/{person_id}`: its shape, and who may call it."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import brands, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS

pytestmark = pytest.mark.anyio

PATH, BRAND = "/v1/persons/p1", {"brand_id": "loop"}


def message(key: str) -> dict[str, Any]:
    return {
        **BRAND,
        "channel": "sms",
        "template_key": "visit",
        "recipient": RECIPIENTS["sms"],
        "person_id": "p1",
        "variables": {"name": "Ada"},
        "dedup_key": key,
        "scheduled_at": "2030-01-01T13:00:00Z",
    }


async def test_a_person_is_erased_and_the_answer_says_since_when(
    client: httpx.AsyncClient, clock: FakeClock
) -> None:
    for key in ("a", "b"):
        assert (await client.post("/v1/messages/schedule", json=message(key))).status_code == 201
    answer = await client.delete(PATH, params=BRAND)
    assert answer.status_code == 200
    erased = {**BRAND, "person_id": "p1", "erased_at": "2030-01-01T12:00:00.000Z"}
    assert answer.json() == {**erased, "cancelled": 2}
    clock.advance(60)
    assert (await client.delete(PATH, params=BRAND)).json() == {**erased, "cancelled": 0}
    listed = (await client.get("/v1/messages/scheduled", params={**BRAND, "person_id": "p1"})).json()["data"]
    assert [(each["recipient"], each["failure_reason"]) for each in listed] == [
        ("erased", "person_erased")
    ] * 2
    recent = (await client.get("/v1/messages/recent", params=BRAND)).json()["messages"]
    assert {each["recipient"] for each in recent} == {"erased"}


async def test_a_person_who_is_not_known_is_erased_as_well(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/persons/nobody%2Fyet", params=BRAND)
    assert answer.status_code == 200
    assert answer.json()["person_id"] == "nobody/yet"


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 422, "validation_error"),
        ({"brand_id": ""}, 422, "validation_error"),
        ({"brand_id": "nowhere"}, 422, "unknown_brand"),
        ({"brand_id": "loop", "person": "p2"}, 422, "unknown_field"),
    ],
)
async def test_what_is_refused(
    client: httpx.AsyncClient, params: dict[str, str], status: int, code: str
) -> None:
    answer = await client.delete(PATH, params=params)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


async def test_another_brands_person_stays(client: httpx.AsyncClient, house: House) -> None:
    await brands.put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    made = (await client.post("/v1/messages/schedule", json=message("a"))).json()
    for scopes, status in ((["manage:preferences"], 403), (["write:messages"], 403)):
        token = await tokens.create(house, OPERATOR, "other", scopes, None, None, None)
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.delete(PATH, params=BRAND, headers=headers)).status_code == status
    assert (await client.delete(PATH, params={"brand_id": "other"})).status_code == 200
    shown = (await client.get(f"/v1/messages/scheduled/{made['id']}")).json()
    assert (shown["status"], shown["person_id"]) == ("scheduled", "p1")


async def test_a_persons_own_token_may_not_erase(client: httpx.AsyncClient, house: House) -> None:
    token = await tokens.create(house, OPERATOR, "loop", [], None, None, "p1")
    answer = await client.delete(PATH, params=BRAND, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
