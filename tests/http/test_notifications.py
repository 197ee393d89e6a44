"""Notifications and the stream: the inbox under its published names, and as it changes."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from comms.actions import brands, inbox, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from comms.domain.caller import Caller
from comms.http import notifications
from comms.http.app import application
from comms.testing import FakeClock
from tests.http.listening import Event, listening

pytestmark = pytest.mark.anyio

NEW = {"brand_id": "loop", "patient_id": "ada", "kind": "result", "title": "Your result is there"}
LOOP = {"X-Brand-Id": "loop"}


async def write(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/admin/notifications", json={**NEW, **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def own(house: House, person_id: str = "ada", brand_id: str = "loop") -> str:
    return await tokens.create(house, OPERATOR, brand_id, [], f"{brand_id} {person_id}", None, person_id)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_notification_is_written_listed_counted_and_read(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    more = {"body": "Open it.", "link": "/results/1", "metadata": {"lab": {"n": 1}}}
    made = await write(client, **more)
    shown = {
        "id": made["id"], "kind": "result", "title": "Your result is there", **more, "read_at": None,
        "created_at": "2030-01-01T12:00:00.000Z",
    }  # fmt: skip
    assert made == {**shown, "brand_id": "loop", "patient_id": "ada"}
    mine = bearer(await own(house))
    listed = await client.get("/v1/notifications", headers=mine)
    assert listed.json() == {"data": [shown], "next_cursor": None}
    assert (await client.get("/v1/notifications/unread-count", headers=mine)).json() == {"count": 1}
    clock.advance(60)
    read = await client.post(f"/v1/notifications/{made['id']}/read", headers=mine)
    assert (read.status_code, read.json()) == (200, {**shown, "read_at": "2030-01-01T12:01:00.000Z"})
    clock.advance(60)
    again = await client.post(f"/v1/notifications/{made['id']}/read", headers=mine)
    assert again.json() == read.json()
    assert (await client.get("/v1/notifications/unread-count", headers=mine)).json() == {"count": 0}


async def test_it_is_the_same_inbox_under_other_names(client: httpx.AsyncClient) -> None:
    made = await write(client, link="/results/1")
    [item] = (await client.get("/v1/inbox/ada", params={"brand_id": "loop"})).json()["data"]
    assert (item["id"], item["category"], item["action_url"]) == (made["id"], "result", "/results/1")
    ids = {"ids": [made["id"]]}
    updated = await client.post("/v1/inbox/ada/bulk-read", json=ids, headers=LOOP)
    assert updated.json() == {"updated": 1}
    query = {"person_id": "ada"}
    listed = await client.get("/v1/notifications", params=query, headers=LOOP)
    assert listed.json()["data"][0]["read_at"]


async def test_they_are_paged_newest_first(client: httpx.AsyncClient, house: House) -> None:
    for number in range(5):
        await write(client, title=str(number))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    mine = bearer(await own(house))
    while query:
        page = (await client.get("/v1/notifications", params=query, headers=mine)).json()
        seen += [each["title"] for each in page["data"]]
        query = {"limit": 2, "cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert seen == ["4", "3", "2", "1", "0"]


async def test_the_newest_is_what_arrived_last_not_what_was_accepted_last(
    client: httpx.AsyncClient, house: House
) -> None:
    """A message's id tells when it was accepted, which may be weeks before it is there."""
    made = [await write(client, title=str(number)) for number in range(3)]
    await house.database.owner.execute("update inbox_item set n = default where id = $1", UUID(made[0]["id"]))
    listed = (await client.get("/v1/inbox/ada", params={"brand_id": "loop"})).json()
    assert [each["title"] for each in listed["data"]] == ["0", "2", "1"]


async def test_whose_they_are_is_said_by_the_token(client: httpx.AsyncClient, house: House) -> None:
    made = await write(client)
    await brands.put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    for path in ("/v1/notifications", "/v1/notifications/unread-count"):
        for headers in ({}, LOOP):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
        theirs = await client.get(
            path, params={"person_id": "ada"}, headers=bearer(await own(house, f"eve{path}"))
        )
        assert theirs.status_code == 403
    service = await tokens.create(house, OPERATOR, "loop", ["read:messages"], "service", None, None)
    query = {"person_id": "ada"}
    counted = await client.get("/v1/notifications/unread-count", params=query, headers=bearer(service))
    assert counted.json() == {"count": 1}
    for who in (await own(house, "bob"), await own(house, "ada", "other")):
        answer = await client.post(f"/v1/notifications/{made['id']}/read", headers=bearer(who))
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
        assert (await client.get("/v1/notifications", headers=bearer(who))).json()["data"] == []
    weak = await client.post(f"/v1/notifications/{made['id']}/read", headers=bearer(service))
    assert weak.status_code == 403
    assert (
        await client.post("/v1/admin/notifications", json=NEW, headers=bearer(await own(house)))
    ).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"kind": None},
        {"patient_id": ""},
        {"link": "javascript:alert(1)"},
        {"metadata": []},
        {"extra": 1},
    ],
)
async def test_what_can_not_be_written_is_refused(client: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await client.post("/v1/admin/notifications", json={**NEW, **changes})
    assert answer.status_code == 422
    assert (await client.get("/v1/inbox/ada", params={"brand_id": "loop"})).json() == {"data": []}


async def test_nothing_of_them_is_readable_in_the_database(client: httpx.AsyncClient, house: House) -> None:
    await write(
        client,
        title="canary",
        body="canary",
        link="/canary",
        metadata={"canary": "canary"},
        patient_id="canary",
    )
    for row in await house.database.owner.fetch("select * from inbox_item"):
        text = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
        assert b"canary" not in text


async def test_a_listener_hears_what_comes_and_the_count(client: httpx.AsyncClient, house: House) -> None:
    before = await write(client, title="before")
    async with listening(application(house), await own(house)) as stream:
        assert await stream.next() == Event("count", {"count": 1}, "")
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        made = await write(client, title="now")
        await write(client, title="not mine", patient_id="bob")
        item, count = await stream.all_of(2)
        assert item is not None
        assert (item.name, item.data["id"], item.data["title"]) == ("item", made["id"], "now")
        assert item.id
        assert count == Event("count", {"count": 2}, "")
        await client.post("/v1/inbox/ada/bulk-read", json={"ids": [before["id"], made["id"]]}, headers=LOOP)
        assert await stream.next() == Event("count", {"count": 0}, "")


async def test_whatever_is_shown_is_in_the_audit(client: httpx.AsyncClient, house: House) -> None:
    """A list and a reading by what they showed; a stream when it opens, and for what it sends."""
    first = await write(client, title="first")
    mine = await own(house)
    await client.get("/v1/notifications", headers=bearer(mine))
    await client.post(f"/v1/notifications/{first['id']}/read", headers=bearer(mine))
    async with listening(application(house), mine) as stream:
        await stream.next()
        second = await write(client, title="second")
        await stream.all_of(2)
    query = {"brand_id": "loop", "actor": "loop ada"}
    noted = (await client.get("/v1/audit", params=query)).json()["data"][::-1]
    assert [each["action"] for each in noted] == ["content_read", "read", *["content_read"] * 3]
    shown = [each["details"] for each in noted if each["action"] == "content_read"]
    assert {each["of"] for each in shown} == {"inbox"}
    listed, read, opened, sent = [each["message_ids"] for each in shown]
    assert (listed, read, opened, sent) == ([first["id"]], [first["id"]], [], [second["id"]])


async def test_of_who_was_erased_nothing_is_shown(client: httpx.AsyncClient) -> None:
    made = await write(client, body="a word", link="/results/1", metadata={"a": "b"})
    await client.delete("/v1/persons/ada", params={"brand_id": "loop"})
    query = {"person_id": "ada"}
    [shown] = (await client.get("/v1/notifications", params=query, headers=LOOP)).json()["data"]
    assert (shown["id"], shown["kind"]) == (made["id"], "result")
    assert {shown["title"], shown["body"], shown["link"]} == {"erased"}
    assert shown["metadata"] == {}


async def test_a_listener_goes_on_where_it_was_cut_off(client: httpx.AsyncClient, house: House) -> None:
    token = await own(house)
    async with listening(application(house), token) as stream:
        await stream.next()
        for number in range(3):
            await write(client, title=str(number))
        seen: list[Event] = []
        while len(seen) < 3:
            event = await stream.next()
            assert event is not None
            seen += [event] if event.name == "item" else []
    for number in range(3, 5):
        await write(client, title=str(number))
    async with listening(application(house), token, last=seen[1].id) as stream:
        events = await stream.all_of(4)
    assert [each.data["title"] for each in events[:3] if each] == ["2", "3", "4"]
    assert events[3] == Event("count", {"count": 5}, "")
    headers = {**bearer(token), "Last-Event-ID": "1; drop"}
    answer = await client.get("/v1/inbox/stream", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")


async def test_more_than_one_look_holds_comes_in_order(
    client: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "_TOGETHER", 2)
    await asyncio.gather(*(write(client, title=str(number)) for number in range(7)))
    async with listening(application(house), await own(house), last="0") as stream:
        events = await stream.all_of(8)
    ids = [int(each.id) for each in events if each and each.name == "item"]
    assert ids == sorted(ids)
    assert len(set(ids)) == 7


async def test_a_revoked_token_ends_its_stream_within_a_second(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    token, others = await own(house), await own(house, "bob")
    async with (
        listening(application(house), token) as stream,
        listening(application(house), others) as other,
    ):
        await stream.next()
        await other.next()
        await tokens.revoke(house, OPERATOR, "loop ada")
        clock.advance(1)
        async with asyncio.timeout(1):
            assert await stream.next() is None
        await write(client, patient_id="bob")
        event = await other.next()
        assert event is not None


async def test_a_service_that_ends_ends_its_streams(house: House, loop_health: Caller) -> None:
    assert loop_health.brand_id == "*"
    async with listening(application(house), await own(house)) as stream:
        await stream.next()
        house.draining.set()
        async with asyncio.timeout(1):
            assert await stream.next() is None


async def test_who_has_gone_away_is_noticed_and_the_line_given_back(
    house: House, loop_health: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loop_health.brand_id == "*"
    monkeypatch.setattr(notifications, "HEARTBEAT_SECONDS", 0.02)
    async with listening(application(house), await own(house)) as stream:
        await stream.next()
        await stream.until(b": still here\n\n")
        stream.gone.set()
        assert await stream.next() is None
    assert house.doorbell._listening is None


async def test_a_stream_needs_to_know_whose_it_is(client: httpx.AsyncClient, house: House) -> None:
    token = await own(house)
    for query, headers, status in (
        ({}, {}, 403),
        ({"brand_id": "loop"}, {}, 403),
        ({"brand_id": "nobody", "person_id": "ada"}, {}, 422),
        ({"person_id": "bob"}, bearer(token), 403),
        ({"brand_id": "other", "person_id": "ada"}, bearer(token), 403),
    ):
        answer = await client.get("/v1/inbox/stream", params=query, headers=headers)
        assert answer.status_code == status, query


async def test_a_message_rings_too(client: httpx.AsyncClient, house: House, loop_health: Caller) -> None:
    """What a worker writes is heard by another process: here, on another connection."""
    async with listening(application(house), await own(house)) as stream:
        await stream.next()
        body = {
            "channel": "in_app", "template_key": "visit", "recipient": "ada", "brand_id": "loop", "person_id": "ada",
            "variables": {"name": "Ada"}, "dedup_key": "k", "scheduled_at": "2030-01-01T12:00:00Z",
        }  # fmt: skip
        assert (await client.post("/v1/messages/schedule", json=body)).status_code == 201
        worker = _worker(house)
        assert await worker.once() == 1
        item, count = await stream.all_of(2)
    assert item is not None
    assert item.data == (await inbox.listed(house, loop_health, "loop", "ada", 1))[0]
    assert count == Event("count", {"count": 1}, "")


def _worker(house: House) -> Any:
    from comms.dispatch.worker import Worker
    from tests.journeys.story import tools

    return Worker(house, tools(house))
