"""The look ahead over HTTP: its shape, what it refuses, and who may."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.brands import put_brand
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from tests.http.bad_inputs import GOOD

pytestmark = pytest.mark.anyio

ASKED = {"brand_id": "loop", "person_id": "p1", "until": "2030-02-01T00:00:00Z"}


async def test_it_says_what_comes_without_sending(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/messages/schedule", json=GOOD)).json()
    answer = await client.post("/v1/simulations", json=ASKED)
    assert answer.status_code == 200
    assert answer.json() == {
        "data": [{"message_id": made["id"], "at": "2030-01-01T13:00:00.000Z", "verdict": "send"}],
        "details": {"until": "2030-02-01T00:00:00.000Z"},
    }
    assert (await client.get(f"/v1/messages/{made['id']}/timeline")).json()["data"][1:] == []


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"until": "2030-01-01T11:59:59Z"}, "until_in_past", "until lies in the past"),
        ({"until": "2032-01-03T00:00:00Z"}, "until_too_far", "more than 731 days ahead"),
        ({"until": "2030-02-01T00:00:00"}, "validation_error", "until must be an RFC 3339 time"),
        ({"until": "2030-02-30T00:00:00Z"}, "validation_error", "until names a day"),
        ({"until": "2030-02-01T00:00:00+01:00[Asia/Tokyo]"}, "validation_error", "contradicts"),
        ({"until": "9999-12-31T23:59:59Z"}, "until_too_far", "days ahead"),
        ({"until": ""}, "validation_error", "until"),
        ({"until": None}, "validation_error", "until"),
        ({"until": 7}, "validation_error", "until"),
        ({"person_id": ""}, "validation_error", "person_id"),
        ({"person_id": None}, "validation_error", "person_id"),
        ({"brand_id": "nobody"}, "unknown_brand", "brand"),
        ({"untill": "x"}, "unknown_field", "until"),
    ],
)
async def test_bad_input_is_refused_with_one_sentence(
    client: httpx.AsyncClient, changes: dict[str, Any], code: str, says: str
) -> None:
    answer = await client.post("/v1/simulations", json=ASKED | changes)
    assert (answer.status_code, answer.json()["error"]) == (422, code)
    assert set(answer.json()) == {"error", "message"}
    assert says in answer.json()["message"]


async def test_what_must_be_there_must_be_there(client: httpx.AsyncClient) -> None:
    for member in ("brand_id", "until"):
        less = {name: value for name, value in ASKED.items() if name != member}
        answer = await client.post("/v1/simulations", json=less)
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")
        assert member in answer.json()["message"]


async def test_another_brands_token_may_not(client: httpx.AsyncClient, house: House) -> None:
    await put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    token = await tokens.create(house, OPERATOR, "other", ["read:messages"], None, None, None)
    stranger = {"Authorization": f"Bearer {token}"}
    answer = await client.post("/v1/simulations", json=ASKED, headers=stranger)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
