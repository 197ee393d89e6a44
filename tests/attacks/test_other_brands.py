"""S1, S2, S27: with a token of one brand, nothing of another; not even that it is there."""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2 as httpx
import pytest

from comms.actions.house import House
from comms.http.routes import ROUTES
from tests.canaries.filler import Filler, Operation, operations
from tests.http.bad_inputs import GOOD
from tests.http.test_subscriptions import house

__all__ = ["house"]

pytestmark = pytest.mark.anyio

BY_ID = [route for route in ROUTES if "{id}" in route.path]
TEXT = {"type": "string"}
OPERATORS = {"put_provider"}
"""Refused to any token of one brand, whichever it names."""

KNOWN: dict[str, Any] = {
    "channel": lambda: "sms",
    "template_key": lambda: "visit",
    "recipient": lambda: "+15555550123",
    "scheduled_at": lambda: "2030-01-01T13:00:00Z",
    **dict.fromkeys(("from", "to", "until"), lambda: "2030-01-01T13:00:00Z"),
    "hipaa": lambda: False,
    "options": dict,
    "cursor": lambda: None,
    "variables": lambda: {"name": "Ada"},
    "timezone": lambda: "Europe/Berlin",
    "locale": lambda: "de",
    "address_or_id": lambda: "ada@example.org",
    "email": lambda: "ada@example.org",
    "number": lambda: "+15555550123",
    "recipient_email": lambda: "ada@example.org",
    "type": lambda: "delivered",
    "url": lambda: "https://example.com/told",
    "events": lambda: ["*"],
    "endpoint": lambda: "https://push.example.com/x",
    "senders": dict,
    "routes": dict,
    "route_weights": dict,
    "quiet_hours": lambda: None,
    "limits": lambda: None,
}
BODIES: dict[str, dict[str, Any]] = {
    "change_message": {"scheduled_at": "2030-01-01T14:00:00Z"},
    "settle_message": {"outcome": "failed"},
    "create_version": {"body": "Hi"},
    "render_template": {"payload": {"name": "Ada"}},
    "put_subscription": {"url": "https://example.com/new", "events": ["*"]},
    "rotate_secret": {},
    "replay_events": {"from": "2030-01-01T10:00:00Z", "to": "2030-01-01T11:00:00Z"},
}
"""What a well-meant call of each says; a new one is refused here until it is told."""


async def made(client: httpx.AsyncClient) -> dict[str, str]:
    """The id of something of loop's, by the first words of its address."""
    message = (await client.post("/v1/messages/schedule", json=GOOD)).json()["id"]
    templates = (await client.get("/v1/messaging/templates", params={"brand_id": "loop"})).json()["items"]
    note = {"brand_id": "loop", "patient_id": "p1", "kind": "k", "title": "T"}
    written = await client.post("/v1/admin/notifications", json=note)
    told = {"brand_id": "loop", "url": "https://example.com/told", "events": ["*"]}
    subscription = await client.post("/v1/subscriptions", json=told)
    return {
        "/v1/messages": message,
        "/v1/messaging": templates[0]["id"],
        "/v1/notifications": written.json()["id"],
        "/v1/subscriptions": subscription.json()["id"],
    }


async def test_another_brands_id_is_answered_as_one_that_is_not_there(
    client: httpx.AsyncClient, stranger: dict[str, str]
) -> None:
    ids = await made(client)
    for route in BY_ID:
        theirs = ids[re.match(r"/v1/\w+", route.path)[0]]  # type: ignore[index]
        body = BODIES.get(route.name) if route.body else None
        assert (body is None) == (route.body is None), route.name
        answers = []
        for each in (theirs, str(uuid4()), theirs.upper()):
            path = route.path.replace("{id}", each)
            answers.append(await client.request(route.method, path, json=body, headers=stranger))
        assert {answer.status_code for answer in answers} == {404}, (route.name, answers[0].text)
        assert len({answer.content for answer in answers}) == 1, route.name
        own = {name: value for name, value in answers[0].headers.items() if name != "x-request-id"}
        assert all(own.items() <= answer.headers.items() for answer in answers)
    waits = (await client.get(f"/v1/messages/scheduled/{ids['/v1/messages']}")).json()
    assert (waits["status"], waits["scheduled_at"]) == ("scheduled", "2030-01-01T13:00:00.000Z")


def asks_for(operation: Operation, brand_id: str) -> dict[str, Any]:
    """What a request for that brand is made of, all of it as the document wants it."""
    known = KNOWN | {name: lambda: brand_id for name in ("brand_id", "X-Brand-Id")}
    filler = Filler(random.Random(1), known, lambda name: f"some {name}")
    path = re.sub(r"{(\w+)}", lambda name: quote(str(filler.value(TEXT, name[1]))), operation.path)
    asked = {
        "url": path,
        "params": {name: filler.value(schema, name) for name, schema in operation.parameters("query") if name in {"brand_id", "person_id", "id"}},
        "headers": {name: brand_id for name, _ in operation.parameters("header") if name == "X-Brand-Id"},
    }  # fmt: skip
    if operation.media == "application/json":
        asked["json"] = filler.body(operation.body)
    return asked


async def test_another_brands_name_is_refused_wherever_it_stands(
    client: httpx.AsyncClient, stranger: dict[str, str]
) -> None:
    """A list of names that are nobody's is 404: what it would be for a brand that is not there."""
    named, taken = [], []
    for operation in operations():
        asked = asks_for(operation, "loop")
        if "loop" not in json.dumps(asked) or operation.name in OPERATORS:
            continue
        asked["headers"] |= stranger
        async with asyncio.timeout(10):  # a stream that is opened after all does not end
            answer = await client.request(operation.method, **asked)
        named.append(operation.name)
        if answer.status_code not in {403, 404} or answer.json()["error"] not in {"forbidden", "not_found"}:
            taken.append((operation.name, answer.status_code, answer.text))
    assert taken == []
    assert len(named) > 40


async def test_one_key_of_two_brands_is_two_messages_and_no_hint(
    client: httpx.AsyncClient, house: House, stranger: dict[str, str]
) -> None:
    template = {"brand_id": "other", "key": "visit", "channel": "sms"}
    template_id = (await client.post("/v1/messaging/templates", json=template, headers=stranger)).json()["id"]
    version = {"body": "Hello {{ name }}"}
    await client.post(f"/v1/messaging/templates/{template_id}/versions", json=version, headers=stranger)
    theirs = await client.post("/v1/messages/schedule", json=GOOD)
    ours = await client.post("/v1/messages/schedule", json={**GOOD, "brand_id": "other"}, headers=stranger)
    assert (theirs.status_code, ours.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in ours.headers
    assert theirs.json()["id"] != ours.json()["id"]
    rows = await house.database.owner.fetch("select key_hash from dedup")
    assert len({row["key_hash"] for row in rows}) == 2
