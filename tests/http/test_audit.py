"""The audit over HTTP: every change and every read of content, with who did it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
from msgspec.structs import replace as replace_members

from comms.actions import addresses, audit, tokens
from comms.actions.brands import put_brand
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.dispatch.closer import close
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandSettings
from comms.domain.caller import Caller
from comms.domain.schedule import show
from comms.testing import FakeClock
from tests.journeys.story import tools

pytestmark = pytest.mark.anyio

MESSAGE = {
    "channel": "in_app",
    "template_key": "visit",
    "recipient": "ada",
    "brand_id": "loop",
    "person_id": "ada",
    "variables": {"name": "Ada"},
    "dedup_key": "key-1",
}


async def entries(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/audit", params=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def sent(client: httpx.AsyncClient, house: House, clock: FakeClock, **changes: Any) -> str:
    at = show(clock.now() + timedelta(seconds=1))
    answer = await client.post("/v1/messages/schedule", json=MESSAGE | {"scheduled_at": at} | changes)
    assert answer.status_code == 201, answer.text
    clock.advance(2)
    await Worker(house, tools(house)).once()
    return str(answer.json()["id"])


async def test_an_entry_says_who_did_what_to_what_when_and_by_which_request(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    message_id = await sent(client, house, clock)
    (entry,) = await entries(client, message_id=message_id, action="accepted")
    assert entry.pop("n") > 0
    assert UUID(entry.pop("request_id")).version == 4
    assert entry == {
        "at": show(clock.now() - timedelta(seconds=2)),
        "actor": "everything",
        "action": "accepted",
        "object": {"kind": "message", "id": message_id},
        "brand_id": "loop",
    }


async def test_the_timeline_is_the_audit_of_a_message(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    message_id = await sent(client, house, clock)
    told = (await client.get(f"/v1/messages/{message_id}/timeline")).json()["data"]
    listed = await entries(client, message_id=message_id)
    assert [(each["at"], each["action"]) for each in reversed(listed)] == [
        (each["at"], each["event"]) for each in told
    ]


async def test_each_read_of_content_is_one_entry_with_the_messages_that_it_showed(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    shown = [await sent(client, house, clock, dedup_key=key) for key in ("a", "b")]
    kept = await sent(client, house, clock, dedup_key="c", channel="sms", recipient="+15555550123")
    answer = await client.get("/v1/inbox/ada", params={"brand_id": "loop"})
    await client.get("/v1/sandbox/outbox", params={"brand_id": "loop"})
    await client.get("/v1/inbox/nobody", params={"brand_id": "loop"})
    outbox, inbox = await entries(client, action="content_read")
    assert inbox["object"] == {"kind": "inbox", "id": None}
    assert inbox["details"] == {"of": "inbox", "message_ids": shown[::-1]}
    assert (outbox["details"]["of"], outbox["details"]["message_ids"]) == ("sandbox", [kept])
    assert (inbox["actor"], inbox["request_id"]) == ("everything", answer.headers["X-Request-Id"])


async def test_who_reads_a_fact_a_suppression_or_a_persons_choices_is_noted(
    client: httpx.AsyncClient, house: House
) -> None:
    brand = {"brand_id": "loop"}
    await client.put("/v1/facts/visit", json={**brand, "value": "booked"})
    await client.get("/v1/facts/visit", params=brand)
    await client.get("/v1/suppressions/ada@example.org", params=brand)
    bad = {"email": "ada@example.org", "reason": "complaint", "source": "test"}
    assert (await client.post("/v1/suppressions", json={**brand, **bad})).status_code == 200
    await client.get("/v1/suppressions/ada@example.org", params=brand)
    public = replace(house, settings=replace_members(house.settings, public_url="http://comms.test"))
    ends = house.clock.now() + timedelta(days=1)
    link = addresses.preferences(public, await house.setup.require_brand("loop"), "ada", ends)
    assert (await client.get(link)).status_code == 200
    noted = await entries(client, action="content_read")
    assert [each["details"]["of"] for each in noted] == ["choices", "suppression", "fact"]
    assert [each["actor"] for each in noted] == ["preferences page", "everything", "everything"]


async def test_a_persons_own_reading_is_noted_and_what_they_mark_as_read(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    message_id = await sent(client, house, clock)
    own = await tokens.create(house, OPERATOR, "loop", [], "adas-own", None, "ada")
    as_ada = {"Authorization": f"Bearer {own}"}
    await client.get("/v1/inbox/ada", params={"brand_id": "loop"}, headers=as_ada)
    await client.post("/v1/inbox/ada/bulk-read", json={"ids": [message_id]}, headers=as_ada)
    assert {each["action"] for each in await entries(client, actor="adas-own")} == {"content_read", "read"}


CHANGES: list[tuple[str, str, dict[str, Any], str]] = [
    ("PUT", "/v1/brands/loop", {"name": "Loop"}, "brand_put"),
    ("PUT", "/v1/providers/sand", {"kind": "sandbox"}, "provider_put"),
    ("POST", "/v1/brands/loop/hold", {}, "brand_held"),
    ("POST", "/v1/brands/loop/release", {}, "brand_released"),
    (
        "POST",
        "/v1/messaging/templates",
        {"brand_id": "loop", "key": "k", "channel": "sms"},
        "template_created",
    ),
    ("PUT", "/v1/devices", {"brand_id": "loop", "person_id": "p", "kind": "fcm", "token": "t"}, "device_put"),
    ("POST", "/v1/tokens/person", {"brand_id": "loop", "person_id": "p"}, "token_created"),
    (
        "POST",
        "/v1/suppressions",
        {"brand_id": "loop", "email": "a@example.org", "reason": "manual", "source": "s"},
        "suppression_added",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "action"), CHANGES)
async def test_every_change_leaves_an_entry(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], action: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code < 300, answer.text
    newest = (await entries(client, limit=1))[0]
    assert (newest["action"], newest["actor"]) == (action, "everything")
    assert newest["request_id"] == answer.headers["X-Request-Id"]


async def test_a_list_is_narrowed_and_paged(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    first = clock.now()
    for n in range(3):
        await sent(client, house, clock, dedup_key=f"key-{n}")
        await close(house)
        clock.advance(3600)
    everything = await entries(client, brand_id="loop", limit=1000)
    paged, cursor = [], None
    while True:
        asked: dict[str, Any] = {"brand_id": "loop", "limit": 7, **({"cursor": cursor} if cursor else {})}
        answer = (await client.get("/v1/audit", params=asked)).json()
        paged += answer["data"]
        cursor = answer.get("next_cursor")
        if not cursor:
            break
    assert paged == everything
    span = {"from": show(first + timedelta(minutes=30)), "to": show(first + timedelta(minutes=90))}
    assert [each["action"] for each in await entries(client, brand_id="loop", **span)] == [
        *("sent", "attempted", "claimed", "accepted"),
    ]


async def test_an_empty_stretch_leads_on(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_STRETCH", 25)
    monkeypatch.setattr(audit, "_STRETCHES", 1)
    found: list[dict[str, Any]] = []
    asked, pages = {"action": "provider_put"}, 0
    while True:
        answer = (await client.get("/v1/audit", params=asked)).json()
        found, pages = [*found, *answer["data"]], pages + 1
        if "next_cursor" not in answer:
            break
        asked = asked | {"cursor": answer["next_cursor"]}
    assert (len(found), pages > 1) == (2, True)


async def test_who_may(client: httpx.AsyncClient, house: House, loop_health: Caller) -> None:
    await put_brand(house, loop_health, "other", BrandSettings(name="Other"))
    auditor = await tokens.create(house, OPERATOR, "other", ["read:audit"], "auditor", None, None)
    writer = await tokens.create(house, OPERATOR, "other", ["write:messages"], "writer", None, None)
    client.headers["Authorization"] = f"Bearer {auditor}"
    assert {each["brand_id"] for each in await entries(client)} == {"other"}
    assert (await client.get("/v1/audit", params={"brand_id": "loop"})).status_code == 403
    assert (await client.get("/v1/audit", params={"brand_id": "*"})).status_code == 403
    client.headers["Authorization"] = f"Bearer {writer}"
    refused = await client.get("/v1/audit")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")


async def test_another_brands_message_has_no_entries(
    client: httpx.AsyncClient, house: House, clock: FakeClock, loop_health: Caller
) -> None:
    message_id = await sent(client, house, clock)
    await put_brand(house, loop_health, "other", BrandSettings(name="Other"))
    auditor = await tokens.create(house, OPERATOR, "other", ["read:audit"], "auditor", None, None)
    client.headers["Authorization"] = f"Bearer {auditor}"
    assert await entries(client, message_id=message_id) == []


@pytest.mark.parametrize(
    "asked", [{"message_id": "17"}, {"from": "soon"}, {"cursor": "x"}, {"limit": 0}, {"object": "1"}]
)
async def test_what_can_not_be_asked(client: httpx.AsyncClient, asked: dict[str, Any]) -> None:
    assert (await client.get("/v1/audit", params=asked)).status_code == 422
