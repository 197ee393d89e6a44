"""Web push under its published names."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.dispatch.worker import Worker
from tests.journeys.story import tools

pytestmark = pytest.mark.anyio

GIVEN = {
    "brand_id": "loop",
    "person_id": "ada",
    "endpoint": "https://push.example.org/send/1",
    "p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
    "auth": "tBHItJI5svbpez7KI4CCXg",
}
SAID = {"patientId": "ada", "title": "Your visit", "body": "in an hour"}
LOOP = {"X-Brand-Id": "loop"}


async def subscribe(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/push/subscriptions", json={**GIVEN, **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def pushed(client: httpx.AsyncClient, house: House, **changes: Any) -> dict[str, Any]:
    """With a worker beside: the answer waits for what it does."""
    asked = asyncio.create_task(client.post("/v1/push/send", json={**SAID, **changes}, headers=LOOP))
    worker = Worker(house, tools(house))
    async with asyncio.timeout(10):
        while not asked.done():
            await worker.once()
    answer = await asked
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_browser_subscribes_once_and_its_keys_are_not_shown(client: httpx.AsyncClient) -> None:
    made = await subscribe(client, user_agent="Firefox")
    assert made == {
        "id": made["id"], "brand_id": "loop", "person_id": "ada", "created_at": "2030-01-01T12:00:00.000Z",
        "endpoint": GIVEN["endpoint"], "expires_at": None,
    }  # fmt: skip
    assert await subscribe(client) == made
    listed = await client.get("/v1/devices", params={"brand_id": "loop", "person_id": "ada"})
    assert [(each["id"], each["kind"]) for each in listed.json()["data"]] == [(made["id"], "webpush")]


@pytest.mark.parametrize(
    "changes", [{"endpoint": "http://a.org"}, {"endpoint": "x"}, {"p256dh": ""}, {"auth": None}, {"x": 1}]
)
async def test_what_is_no_subscription_is_refused(client: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await client.post("/v1/push/subscriptions", json={**GIVEN, **changes})
    assert answer.status_code == 422


async def test_a_push_reaches_every_device_and_says_what_became_of_it(
    client: httpx.AsyncClient, house: House
) -> None:
    one = await subscribe(client)
    two = await subscribe(client, endpoint="https://push.example.org/send/2")
    answer = await pushed(client, house)
    assert (answer["patient_id"], answer["person_id"]) == ("ada", "ada")
    assert (answer["sent"], answer["rejected"]) == (2, 0)
    assert {each["subscription_id"] for each in answer["results"]} == {one["id"], two["id"]}
    assert {each["status"] for each in answer["results"]} == {"sent"}
    again = await pushed(client, house, url="https://loop.test/visit", title="{{ title }}")
    assert again["sent"] == 2
    kept = (await client.get("/v1/sandbox/outbox", params={"brand_id": "loop"})).json()["data"]
    assert len(kept) == 4
    assert {each["subject"] for each in kept[:2]} == {"{{ title }}"}


async def test_who_may_push_and_to_whom(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.post("/v1/push/send", json=SAID, headers=LOOP)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert (await client.post("/v1/push/send", json=SAID)).status_code == 403
    own = await tokens.create(house, OPERATOR, "loop", [], "own", None, "ada")
    answer = await client.post("/v1/push/send", json=SAID, headers={"Authorization": f"Bearer {own}"})
    assert answer.status_code == 403
    for changes in ({"title": ""}, {"body": None}, {"url": ""}, {"patientId": ""}):
        answer = await client.post("/v1/push/send", json={**SAID, **changes}, headers=LOOP)
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")
