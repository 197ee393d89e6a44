"""The calls around permission: published shapes and codes, and who may make them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from comms.actions import brands, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from comms.testing import FakeClock

pytestmark = pytest.mark.anyio

NEWS = {"brand_id": "loop", "person_id": "p1", "channel": "email", "category": "news"}
BOUNCED = {"brand_id": "loop", "email": "Ada@Example.org", "reason": "hard_bounce", "source": "import"}
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/v1/consents", {**NEWS, "opted_in": True, "source": "form"}),
    ("POST", "/v1/unsubscribe", NEWS),
    ("POST", "/v1/messaging/consent/check", NEWS),
    ("PUT", "/v1/preferences", {**NEWS, "enabled": False}),
    ("POST", "/v1/suppressions", BOUNCED),
]


async def said(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
    answer = await client.request(method, path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_consent_is_given_withdrawn_and_shown_with_its_source(client: httpx.AsyncClient) -> None:
    given = await said(client, "PUT", "/v1/consents", json={**NEWS, "opted_in": True, "source": "form"})
    assert given == {"id": given["id"], **NEWS, "opted_in": True, "source": "form"}
    assert str(UUID(given["id"])) == given["id"]
    withdrawn = await said(client, "PUT", "/v1/consents", json={**NEWS, "opted_in": False, "source": "call"})
    assert withdrawn == {**given, "opted_in": False, "source": "call"}
    listed = await said(client, "GET", "/v1/consents/p1", params={"brand_id": "loop"})
    assert listed == {"data": [withdrawn]}
    assert await said(client, "GET", "/v1/consents/p2", params={"brand_id": "loop"}) == {"data": []}


async def test_an_unsubscribe_withdraws_consent_also_where_none_was_given(client: httpx.AsyncClient) -> None:
    assert await said(client, "POST", "/v1/unsubscribe", json=NEWS) == {**NEWS, "opted_in": False}
    listed = await said(client, "GET", "/v1/consents/p1", params={"brand_id": "loop"})
    assert [(each["opted_in"], each["source"]) for each in listed["data"]] == [(False, "unsubscribe")]


async def test_the_check_has_four_reasons(client: httpx.AsyncClient) -> None:
    async def check(category: str = "news") -> Any:
        return await said(client, "POST", "/v1/messaging/consent/check", json={**NEWS, "category": category})

    nothing = {"opted_in": None, "source": None}
    assert await check() == {"consented": False, "reason": "no_consent_row", **nothing}
    assert await check("transactional") == {"consented": True, "reason": "transactional_bypass", **nothing}
    await client.put("/v1/consents", json={**NEWS, "opted_in": True, "source": "form"})
    assert await check() == {"consented": True, "reason": "opted_in", "opted_in": True, "source": "form"}
    await client.post("/v1/unsubscribe", json=NEWS)
    withdrawn = {"opted_in": False, "source": "unsubscribe"}
    assert await check() == {"consented": False, "reason": "opted_out", **withdrawn}


async def test_preferences_are_switches(client: httpx.AsyncClient) -> None:
    off = await said(client, "PUT", "/v1/preferences", json={**NEWS, "enabled": False})
    assert off == {"id": off["id"], **NEWS, "enabled": False}
    on = await said(client, "PUT", "/v1/preferences", json={**NEWS, "enabled": True})
    assert on == {**off, "enabled": True}
    assert await said(client, "GET", "/v1/preferences/p1", params={"brand_id": "loop"}) == {"data": [on]}


@pytest.mark.parametrize(
    ("path", "more"), [("consents", {"opted_in": True, "source": "form"}), ("preferences", {"enabled": True})]
)
async def test_what_a_person_says_is_listed_newest_first_and_paged(
    client: httpx.AsyncClient, clock: FakeClock, path: str, more: dict[str, Any]
) -> None:
    for number in range(5):
        clock.advance(number % 2)  # some at the same instant
        await client.put(f"/v1/{path}", json={**NEWS, "category": f"c{number}", **more})
    query: dict[str, Any] = {"brand_id": "loop", "limit": 2}
    seen = []
    while True:
        page = await said(client, "GET", f"/v1/{path}/p1", params=query)
        seen += [each["category"] for each in page["data"]]
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted(seen) == [f"c{number}" for number in range(5)]
    assert {seen[0], seen[1]} == {"c4", "c3"}
    assert seen[4] == "c0" or seen[3] == "c0"


async def test_a_suppression_stands_until_it_is_lifted_and_stays_on_record(
    client: httpx.AsyncClient, clock: FakeClock, house: House
) -> None:
    free = {"suppressed": False, "suppression": None}
    query = {"brand_id": "loop"}
    assert await said(client, "GET", "/v1/suppressions/ada@example.org", params=query) == free
    made = await said(client, "POST", "/v1/suppressions", json=BOUNCED)
    expected = {
        "id": made["id"], "brand_id": "loop", "email": "Ada@example.org", "reason": "hard_bounce",
        "source": "import", "suppressed_at": "2030-01-01T12:00:00.000Z", "lifted_at": None,
    }  # fmt: skip
    assert made == expected
    clock.advance(60)
    assert await said(client, "POST", "/v1/suppressions", json={**BOUNCED, "source": "again"}) == made
    found = await said(client, "GET", "/v1/suppressions/ADA@example.org", params=query)
    assert found == {"suppressed": True, "suppression": made}
    lifted = await said(client, "DELETE", f"/v1/suppressions/{made['id']}")
    assert lifted == {**made, "lifted_at": "2030-01-01T12:01:00.000Z"}
    clock.advance(60)
    assert await said(client, "DELETE", f"/v1/suppressions/{made['id']}") == lifted
    assert await said(client, "GET", "/v1/suppressions/ada@example.org", params=query) == free
    again = await said(client, "POST", "/v1/suppressions", json=BOUNCED)
    assert again["id"] != made["id"]
    assert await house.database.owner.fetchval("select count(*) from suppression") == 2


async def test_lifting_one_reason_leaves_the_others(client: httpx.AsyncClient) -> None:
    ids = {}
    for reason in ("manual", "unsubscribe", "hard_bounce"):
        ids[reason] = (await said(client, "POST", "/v1/suppressions", json={**BOUNCED, "reason": reason}))[
            "id"
        ]
    shown = []
    for _ in range(3):
        found = await said(client, "GET", "/v1/suppressions/ada@example.org", params={"brand_id": "loop"})
        shown.append(found["suppression"]["reason"])
        await said(client, "DELETE", f"/v1/suppressions/{ids[shown[-1]]}")
    assert shown == ["hard_bounce", "unsubscribe", "manual"]


@pytest.mark.parametrize(
    ("method", "path", "changes", "code"),
    [
        ("PUT", "/v1/consents", {"channel": "fax"}, "validation_error"),
        ("PUT", "/v1/consents", {"category": ""}, "validation_error"),
        ("PUT", "/v1/consents", {"source": ""}, "validation_error"),
        ("PUT", "/v1/consents", {"opted_in": 1}, "validation_error"),
        ("PUT", "/v1/consents", {"optedin": True}, "unknown_field"),
        ("PUT", "/v1/consents", {"brand_id": "nobody"}, "unknown_brand"),
        ("POST", "/v1/unsubscribe", {"person_id": ""}, "validation_error"),
        ("PUT", "/v1/preferences", {"enabled": "no"}, "validation_error"),
        ("POST", "/v1/suppressions", {"email": "ada"}, "invalid_recipient"),
        ("POST", "/v1/suppressions", {"reason": "dislike"}, "validation_error"),
        ("POST", "/v1/suppressions", {"source": ""}, "validation_error"),
    ],
)
async def test_what_can_not_be_is_refused_in_one_sentence(
    client: httpx.AsyncClient, method: str, path: str, changes: dict[str, Any], code: str
) -> None:
    body = next(body for known, at, body in BODIES if (known, at) == (method, path))
    answer = await client.request(method, path, json={**body, **changes})
    assert (answer.status_code, answer.json()["error"]) == (422, code)


@pytest.mark.parametrize(
    ("given", "shown", "asked"),
    [
        ({"number": "+15555550123"}, "+15555550123", "/v1/suppressions/+15555550123"),
        ({"number": "+15555550123"}, "+15555550123", "/v1/suppressions/%2B15555550123"),
        ({"device": "Token-1"}, None, None),
    ],
)
async def test_numbers_and_devices_are_suppressed_and_lifted_alike(
    client: httpx.AsyncClient, given: dict[str, str], shown: str | None, asked: str | None
) -> None:
    rest = {"brand_id": "loop", "reason": "manual", "source": "desk"}
    if shown is None:
        device = {"brand_id": "loop", "person_id": "p1", "kind": "fcm", "token": given["device"]}
        shown = (await said(client, "PUT", "/v1/devices", json=device))["id"]
        asked = f"/v1/suppressions/{shown}"
    made = await said(client, "POST", "/v1/suppressions", json={**rest, **given})
    [member] = given
    assert made == {
        "id": made["id"], **rest, member: shown, "suppressed_at": "2030-01-01T12:00:00.000Z", "lifted_at": None,
    }  # fmt: skip
    query = {"brand_id": "loop"}
    found = await said(client, "GET", asked or "", params=query)
    assert found == {"suppressed": True, "suppression": made}
    await said(client, "DELETE", f"/v1/suppressions/{made['id']}")
    assert not (await said(client, "GET", asked or "", params=query))["suppressed"]


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        ({}, "validation_error", "Name exactly one of email, number and device."),
        ({"email": "a@b.org", "number": "+15555550123"}, "validation_error", "Name exactly one of"),
        ({"number": "5550123"}, "invalid_recipient", "number must be a telephone number in E.164 form"),
        ({"number": None}, "validation_error", "number must be"),
        ({"email": "+15555550123"}, "invalid_recipient", "email must be one e-mail address"),
        ({"device": "a\nb"}, "invalid_recipient", "device must be a device's id or its token"),
        ({"device": "person"}, "invalid_recipient", "device must be one device"),
        ({"device": ""}, "validation_error", "device must"),
    ],
)
async def test_a_suppression_is_of_one_address_that_can_be_one(
    client: httpx.AsyncClient, given: dict[str, Any], code: str, why: str
) -> None:
    body = {"brand_id": "loop", "reason": "manual", "source": "desk", **given}
    answer = await client.post("/v1/suppressions", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, code)
    assert answer.json()["message"].startswith(why)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/v1/suppressions/{UUID(int=1)}", 422, "validation_error"),
        ("GET", "/v1/suppressions/+1?brand_id=loop", 422, "invalid_recipient"),
        ("GET", "/v1/suppressions/ada?brand_id=loop", 422, "invalid_recipient"),
        ("GET", "/v1/suppressions/ada@example.org", 422, "validation_error"),
        ("GET", "/v1/consents/p1", 422, "validation_error"),
        ("DELETE", "/v1/suppressions/ada@example.org", 404, "not_found"),
        ("DELETE", f"/v1/suppressions/{UUID(int=1)}", 404, "not_found"),
    ],
)
async def test_addresses_that_lead_nowhere(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


async def test_a_persons_token_sets_that_persons_preferences_and_nothing_else(
    client: httpx.AsyncClient, house: House
) -> None:
    token = await tokens.create(house, OPERATOR, "loop", [], None, None, "p1")
    client.headers["Authorization"] = f"Bearer {token}"
    await said(client, "PUT", "/v1/preferences", json={**NEWS, "enabled": False})
    listed = await said(client, "GET", "/v1/preferences/p1", params={"brand_id": "loop"})
    assert len(listed["data"]) == 1
    for answer, code in [
        (await client.put("/v1/preferences", json={**NEWS, "person_id": "p2", "enabled": True}), "forbidden"),
        (await client.get("/v1/preferences/p2", params={"brand_id": "loop"}), "forbidden"),
        (await client.get("/v1/consents/p1", params={"brand_id": "loop"}), "insufficient_scope"),
        (await client.put("/v1/consents", json=BODIES[0][2]), "insufficient_scope"),
        (await client.post("/v1/suppressions", json=BOUNCED), "insufficient_scope"),
    ]:
        assert (answer.status_code, answer.json()["error"]) == (403, code)


async def test_another_brand_sees_and_changes_nothing(client: httpx.AsyncClient, house: House) -> None:
    made = await said(client, "POST", "/v1/suppressions", json=BOUNCED)
    await said(client, "PUT", "/v1/consents", json=BODIES[0][2])
    await brands.put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    token = await tokens.create(house, OPERATOR, "other", ["manage:preferences"], None, None, None)
    client.headers["Authorization"] = f"Bearer {token}"
    for method, path, body in BODIES:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden"), path
    answer = await client.delete(f"/v1/suppressions/{made['id']}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    other = {"brand_id": "other"}
    assert await said(client, "GET", "/v1/consents/p1", params=other) == {"data": []}
    assert not (await said(client, "GET", "/v1/suppressions/ada@example.org", params=other))["suppressed"]


@pytest.mark.parametrize("table", ["consent", "preference", "suppression"])
async def test_the_database_itself_holds_each_brand_to_its_rows(
    client: httpx.AsyncClient, house: House, table: str
) -> None:
    for method, path, body in BODIES:
        await said(client, method, path, json=body)
    for brand_id, seen in (("loop", 1), ("other", 0), ("*", 1)):
        async with house.database.brand(brand_id) as connection:
            assert await connection.fetchval(f"select count(*) from {table}") == seen


async def test_nothing_personal_is_readable_in_the_database(client: httpx.AsyncClient, house: House) -> None:
    secret = {"person_id": "canary-person", "source": "canary-source"}
    await said(client, "PUT", "/v1/consents", json={**NEWS, **secret, "opted_in": True})
    await said(client, "PUT", "/v1/preferences", json={**NEWS, "person_id": "canary-person", "enabled": True})
    body = {**BOUNCED, "email": "canary@example.org", "source": "canary-source"}
    await said(client, "POST", "/v1/suppressions", json=body)
    for table in ("consent", "preference", "suppression", "ledger"):
        for row in await house.database.owner.fetch(f"select * from {table}"):
            text = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
            assert b"canary" not in text


async def test_every_change_is_in_the_ledger_with_who_made_it(
    client: httpx.AsyncClient, house: House
) -> None:
    for method, path, body in BODIES:
        await said(client, method, path, json=body)
    made = await said(client, "POST", "/v1/suppressions", json=BOUNCED)
    await said(client, "DELETE", f"/v1/suppressions/{made['id']}")
    noted = await house.database.owner.fetch(
        "select event, details from ledger where actor = 'everything' and brand_id = 'loop' order by n"
    )
    assert [row["event"] for row in noted] == [
        "consent_put", "consent_put", "preference_put", "suppression_added", "suppression_lifted",
    ]  # fmt: skip
    assert [row["details"].get("opted_in") for row in noted[:2]] == [True, False]
