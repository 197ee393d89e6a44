"""Subscriptions over HTTP: who may, what is shown, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, get_args
from uuid import uuid4

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.brands import put_brand
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from comms.domain.caller import Caller
from comms.domain.webhooks import TYPES
from comms.http.shapes.subscriptions import EventType
from comms.providers.outward import Outward

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.org/in"
BODY = {"brand_id": "loop", "url": URL, "events": ["message.sent", "message.failed"]}


@pytest.fixture
async def house(house: House) -> AsyncIterator[House]:
    async def lookup(host: str, _port: int) -> list[str]:
        return ["10.0.0.1" if "inside" in host else "93.184.216.34"]

    outward = Outward(lookup=lookup)
    yield replace(house, outward=outward)
    await outward.close()


async def made(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/v1/subscriptions", json=BODY)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_secret_is_shown_once_and_kept_sealed(client: httpx.AsyncClient, house: House) -> None:
    first = await made(client)
    secret = first.pop("secret")
    assert secret.startswith("whsec_")
    assert (first["state"], first["events"]) == ("healthy", ["message.failed", "message.sent"])
    shown = await client.get(f"/v1/subscriptions/{first['id']}")
    assert shown.json() == first
    listed = await client.get("/v1/subscriptions", params={"brand_id": "loop"})
    assert listed.json() == {"data": [first]}
    kept = await house.database.owner.fetchval("select secrets from subscription")
    assert secret.encode() not in kept
    rotated = await client.post(f"/v1/subscriptions/{first['id']}/rotate-secret", json={})
    assert rotated.json()["secret"] not in {secret, None}


async def test_changed_switched_off_and_deleted(client: httpx.AsyncClient) -> None:
    address = f"/v1/subscriptions/{(await made(client))['id']}"
    changed = await client.put(address, json={"url": URL, "events": ["*"], "enabled": False})
    assert (changed.json()["state"], changed.json()["disabled_reason"]) == ("disabled", "on_request")
    span = {"from": "2030-01-01T00:00:00Z", "to": "2030-01-02T00:00:00Z"}
    assert (await client.post(f"{address}/replay", json=span)).json()["error"] == "subscription_disabled"
    assert (await client.put(address, json={"url": URL, "events": ["*"]})).json()["state"] == "healthy"
    replayed = await client.post(f"{address}/replay", json=span)
    assert (replayed.status_code, replayed.json()["from"]) == (202, "2030-01-01T00:00:00.000Z")
    for _ in range(4):
        assert (await client.post(f"{address}/replay", json=span)).status_code == 202
    assert (await client.post(f"{address}/replay", json=span)).json()["error"] == "too_many_replays"
    assert (await client.delete(address)).json() == {"removed": 1}
    assert (await client.delete(address)).status_code == (await client.get(address)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"url": "http://hooks.example.org/in"}, "url_refused"),
        ({"url": "https://inside.example.org/in"}, "url_refused"),
        ({"url": "https://169.254.169.254/"}, "url_refused"),
        ({"url": ""}, "validation_error"),
        ({"events": []}, "validation_error"),
        ({"events": ["message.claimed"]}, "validation_error"),
        ({"secret": "whsec_mine"}, "unknown_field"),
        ({"brand_id": "nobody"}, "unknown_brand"),
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, changes: dict[str, object], error: str) -> None:
    answer = await client.post("/v1/subscriptions", json=BODY | changes)
    assert (answer.status_code, answer.json()["error"]) == (422, error)
    assert "169.254" not in answer.text


async def test_a_replay_backwards_is_refused(client: httpx.AsyncClient) -> None:
    address = f"/v1/subscriptions/{(await made(client))['id']}/replay"
    answer = await client.post(address, json={"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"})
    assert answer.json() == {"error": "empty_time_range", "message": "from must be before to."}


async def test_another_brands_token_sees_and_changes_nothing(
    client: httpx.AsyncClient, house: House, loop_health: Caller
) -> None:
    address = f"/v1/subscriptions/{(await made(client))['id']}"
    await put_brand(house, loop_health, "other", BrandSettings(name="Other"))
    token = await tokens.create(house, OPERATOR, "other", ["manage:brands"], "others", None, None)
    client.headers["Authorization"] = f"Bearer {token}"
    body = {"url": URL, "events": ["*"]}
    answers = [
        await client.get(address),
        await client.put(address, json=body),
        await client.delete(address),
        await client.post(f"{address}/test"),
        await client.post(f"{address}/rotate-secret", json={}),
        await client.get(f"/v1/subscriptions/{uuid4()}"),
    ]
    assert {(each.status_code, each.json()["error"]) for each in answers} == {(404, "not_found")}
    assert (await client.post("/v1/subscriptions", json=BODY)).status_code == 403


async def test_a_brand_has_so_many_at_most(client: httpx.AsyncClient) -> None:
    for _ in range(50):
        await made(client)
    answer = await client.post("/v1/subscriptions", json=BODY)
    assert answer.json()["error"] == "too_many_subscriptions"


async def test_each_change_is_in_the_ledger(client: httpx.AsyncClient, house: House) -> None:
    address = f"/v1/subscriptions/{(await made(client))['id']}"
    await client.put(address, json={"url": URL, "events": ["*"]})
    await client.post(f"{address}/rotate-secret", json={"overlap": 0})
    await client.delete(address)
    rows = await house.database.owner.fetch(
        "select event from ledger where event like 'subscription%' and actor = 'everything' order by n"
    )
    events = [row["event"] for row in rows]
    assert events == [
        "subscription_put",
        "subscription_put",
        "subscription_secret_rotated",
        "subscription_removed",
    ]


def test_the_document_names_every_type() -> None:
    assert set(get_args(EventType)) == {"*", *TYPES.values()}
