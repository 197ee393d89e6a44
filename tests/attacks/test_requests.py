"""S3, S10, S13, S23: members, methods and addresses that nobody should try, and words that mean something elsewhere."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.http.routes import ROUTES
from tests.http.bad_inputs import GOOD

pytestmark = pytest.mark.anyio

WITH_BODY = [route for route in ROUTES if route.body and route.name != "report_email_event"]
"""That one passes over what it does not know: vendors' own events are handed on as they came."""

OURS = (
    "id",
    "status",
    "sent_at",
    "cancelled_at",
    "failure_reason",
    "provider_ref",
    "attempt",
    "__proto__",
    "hippa",
)
"""Members that are for us to say, and one that is misspelt."""

WORDS = (
    "'; drop table message; --",
    '" or 1=1',
    "%",
    "_",
    "\\",
    "a%",
    "$1",
    "{}",
    "[*]",
    "$.x",
    "\\x00",
    "0x00",
)
"""They mean something to SQL, LIKE, JSON paths or formats."""


def path_of(route: Any) -> str:
    return re.sub(r"{\w+}", str(uuid4()), route.path)


@pytest.mark.parametrize("route", WITH_BODY, ids=lambda route: route.name)
async def test_what_is_ours_to_say_is_not_taken_from_a_caller(client: httpx.AsyncClient, route: Any) -> None:
    for member in OURS:
        if member in route.body.__struct_encode_fields__:
            continue
        answer = await client.request(route.method, path_of(route), json={member: "sent"})
        assert (answer.status_code, answer.json()["error"]) == (422, "unknown_field"), member
    known = route.body.__struct_encode_fields__[0]
    twice = f'{{"{known}": true, "{known}": false}}'
    answer = await client.request(route.method, path_of(route), content=twice)
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")
    assert f"two members {known}" in answer.json()["message"]


async def test_only_the_address_itself_leads_there(client: httpx.AsyncClient, house: House) -> None:
    token = await tokens.create(house, OPERATOR, "loop", ["read:messages"], None, None, None)
    reader = {"Authorization": f"Bearer {token}"}
    for path in ("//v1/brands/loop", "/v1//brands/loop", "/v1/brands/loop/", "/V1/brands/loop",
                 "/v1/messages/%2e%2e/brands/loop", "/v1/brands/loop;x=1", "/v1/brands/loop%00"):  # fmt: skip
        answer = await client.get(path)
        assert answer.status_code in {404, 422}, path
        assert "Loop" not in answer.text
    provider = {"kind": "sandbox"}
    answer = await client.put("/v1/providers/sand", json=provider, headers=reader)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = await client.get("/v1/brands/loop", headers={header: "PUT"})
        assert answer.status_code == 200
        answer = await client.post("/v1/brands/loop", json={}, headers={header: "PUT"})
        assert answer.status_code == 405
    rewritten = {
        "X-Original-URL": "/v1/brands/loop",
        "X-Rewrite-URL": "/v1/brands/loop",
        "X-Forwarded-Prefix": "/v1",
    }
    assert (await client.get("/v1/nothing", headers=rewritten)).status_code == 404


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "PROPFIND", "DEBUG"])
async def test_no_other_method_is_known(client: httpx.AsyncClient, method: str) -> None:
    for path in ("/v1/brands/loop", "/v1/messages/schedule", "/metrics", "/docs"):
        answer = await client.request(method, path, headers={"X-Secret": "canary"})
        assert answer.status_code == 405, path
        assert "canary" not in answer.text
    head = await client.head("/v1/brands/loop")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_browser_of_another_site_is_told_nothing(client: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method, path in (("GET", "/v1/brands/loop"), ("OPTIONS", "/v1/messages/schedule"), ("GET", "/docs")):
        answer = await client.request(method, path, headers=asked)
        names = {name.lower() for name in answer.headers}
        assert not {name for name in names if name.startswith("access-control-")}
        assert not names & {"server", "x-powered-by", "set-cookie"}
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_fault_of_ours_tells_its_name_to_nobody(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise KeyError("canary: /etc/passwd")

    monkeypatch.setattr("comms.actions.brands.get_brand", broken)
    answer = await client.get("/v1/brands/loop")
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "internal_error",
        "message": "Something went wrong here; it has been logged.",
    }


@pytest.mark.parametrize("word", WORDS)
async def test_words_are_words(client: httpx.AsyncClient, word: str) -> None:
    """What is asked for by them is found by them, and nothing else is."""
    for person in (word, "somebody else"):
        key = {"person_id": person, "dedup_key": f"key of {person}", "variables": {"name": word, word: word}}
        made = await client.post("/v1/messages/schedule", json={**GOOD, **key})
        assert made.status_code == 201
        assert made.json()["person_id"] == person
    listed = await client.get("/v1/messages/scheduled", params={"brand_id": "loop", "person_id": word})
    assert [each["person_id"] for each in listed.json()["data"]] == [word]
    for member in ("person_id", "dedup_key", "recipient"):
        asked = {"brand_id": "loop", member: f"{word}%"}
        found = await client.post("/v1/messages/scheduled/search", json=asked)
        assert found.json()["data"] == [], member
    for name in ("status", "channel", "from", "cursor", "limit"):
        answer = await client.get("/v1/messages/scheduled", params={"brand_id": "loop", name: word})
        assert answer.status_code == 422, name
    fact = await client.put("/v1/facts/" + quote(word, safe=""), json={"brand_id": "loop", "value": word})
    assert fact.status_code == 200
