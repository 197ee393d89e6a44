"""Consents, preferences and suppressions in and out: verdicts a line, nothing lost on the way round."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import brands, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandSettings
from comms.testing import FakeClock

pytestmark = pytest.mark.anyio

ADA = {"person_id": "ada", "channel": "email", "category": "news"}
GIVEN = {**ADA, "opted_in": True, "source": "form"}
CSV, NDJSON = "text/csv", "application/x-ndjson"
GOOD: dict[str, dict[str, Any]] = {
    "consents": GIVEN,
    "preferences": {**ADA, "enabled": False},
    "suppressions": {"number": "+15555550123", "reason": "manual", "source": "desk"},
}


async def put(
    client: httpx.AsyncClient, kind: str, *lines: Any, media: str = NDJSON, brand: str = "loop"
) -> list[dict[str, Any]]:
    content = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )
    answer = await client.post(
        f"/v1/{kind}/import?brand_id={brand}", content=content, headers={"Content-Type": media}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == NDJSON
    return [json.loads(line) for line in answer.text.splitlines()]


async def exported(client: httpx.AsyncClient, kind: str, **query: str) -> str:
    answer = await client.get(f"/v1/{kind}", params={"brand_id": "loop", **query})
    assert answer.status_code == 200, answer.text
    return answer.text


def codes(verdicts: list[dict[str, Any]]) -> list[Any]:
    return [each.get("error", each["status"]) for each in verdicts]


async def test_each_line_has_its_verdict_and_a_bad_one_harms_no_other(client: httpx.AsyncClient) -> None:
    verdicts = await put(
        client, "consents", GIVEN, b"", {**GIVEN, "channel": "fax"}, b"{", {**GIVEN, "x": 1}, [1],
        {**GIVEN, "brand_id": "other"}, {**GIVEN, "person_id": "bob", "brand_id": "loop"},
        {**GIVEN, "changed_at": "2030-01-01T12:00:00.001Z"}, {**GIVEN, "changed_at": "yesterday"},
        b'{"person_id": "' + b"x" * 262_144 + b'"}', {**GIVEN, "person_id": "eve"},
    )  # fmt: skip
    assert [each["line"] for each in verdicts] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert codes(verdicts) == [
        200, "validation_error", "validation_error", "unknown_field", "validation_error", "forbidden", 200,
        "said_in_future", "validation_error", "payload_too_large", 200,
    ]  # fmt: skip
    assert "in the future" in verdicts[7]["message"]
    listed = (await client.get("/v1/consents/ada", params={"brand_id": "loop"})).json()
    assert listed["data"][0] == {"id": verdicts[0]["id"], "brand_id": "loop", **GIVEN}
    assert len((await exported(client, "consents")).splitlines()) == 3


async def test_what_was_said_later_is_not_undone(client: httpx.AsyncClient, clock: FakeClock) -> None:
    """An old list must not bring back consent that was withdrawn since."""
    await client.post("/v1/unsubscribe", json={"brand_id": "loop", **ADA})
    [stale] = await put(client, "consents", {**GIVEN, "changed_at": "2029-12-31T00:00:00Z"})
    assert (stale["status"], stale["error"]) == (409, "newer_known")
    check = {"brand_id": "loop", **ADA}
    assert (await client.post("/v1/messaging/consent/check", json=check)).json()["reason"] == "opted_out"
    clock.advance(60)
    same = {**GIVEN, "changed_at": "2030-01-01T12:00:30Z"}
    older = {**GIVEN, "opted_in": False, "changed_at": "2030-01-01T12:00:29Z"}
    assert codes(await put(client, "consents", same, older, {**GIVEN, "source": "now"})) == [
        200,
        "newer_known",
        200,
    ]
    shown = json.loads(await exported(client, "consents"))
    assert shown == {"brand_id": "loop", **GIVEN, "source": "now", "changed_at": "2030-01-01T12:01:00.000Z"}


async def test_the_last_line_about_the_same_wins(client: httpx.AsyncClient) -> None:
    lines = [{**ADA, "enabled": number % 2 == 0} for number in range(5)]
    verdicts = await put(client, "preferences", *lines)
    assert len({each["id"] for each in verdicts}) == 1
    assert json.loads(await exported(client, "preferences"))["enabled"] is True


@pytest.mark.parametrize("media", [CSV, NDJSON])
@pytest.mark.parametrize("kind", ["consents", "preferences", "suppressions"])
async def test_what_goes_out_comes_in_again(
    client: httpx.AsyncClient, house: House, clock: FakeClock, kind: str, media: str
) -> None:
    given: dict[str, list[dict[str, Any]]] = {
        "consents": [
            {**GIVEN, "person_id": f"p{n}", "opted_in": n % 3 > 0, "source": f'form "{n}",\r\n\r\nünï = {n}'}
            for n in range(40)
        ],
        "preferences": [{**ADA, "person_id": f"p,{n}", "enabled": n % 2 == 0} for n in range(40)],
        "suppressions": [
            *({"email": f"a{n}@example.org", "reason": "manual", "source": "x"} for n in range(20)),
            *({"number": f"+155555501{n:02}", "reason": "unsubscribe", "source": "STOP"} for n in range(10)),
            *({"device": f"token-{n}", "reason": "hard_bounce", "source": "x"} for n in range(10)),
        ],
    }
    lines = given[kind]
    clock.advance(0.123456)
    assert set(codes(await put(client, kind, *lines))) == {200}
    form = {"format": "csv"} if media == CSV else {}
    out = await exported(client, kind, **form)
    table = {"consents": "consent", "preferences": "preference", "suppressions": "suppression"}[kind]
    clock.advance(3600)
    again = await client.post(
        f"/v1/{kind}/import?brand_id=loop", content=out.encode(), headers={"Content-Type": media}
    )
    assert codes([json.loads(line) for line in again.text.splitlines()]) == [200] * 40
    assert sorted(await exported(client, kind, **form)) == sorted(out)
    await house.database.owner.execute(f"delete from {table}")
    await client.post(
        f"/v1/{kind}/import?brand_id=loop", content=out.encode(), headers={"Content-Type": media}
    )
    assert sorted((await exported(client, kind, **form)).splitlines()) == sorted(out.splitlines())


@pytest.mark.parametrize("at", ["0001-01-02T00:00:00Z", "1969-12-31T23:59:59.999Z", "2030-01-01T12:00:00Z"])
async def test_however_long_ago_it_was(client: httpx.AsyncClient, at: str) -> None:
    for kind, line in GOOD.items():
        since = "suppressed_at" if kind == "suppressions" else "changed_at"
        assert codes(await put(client, kind, {**line, since: at})) == [200]
        assert json.loads(await exported(client, kind))[since][:19] == at[:19]


async def test_csv_as_spreadsheets_write_it(client: httpx.AsyncClient) -> None:
    rows = [
        "\ufeffPerson_ID, channel ,category,opted_in,source\r",
        'ada,email,news,TRUE,"a ""form"", signed\r',
        'in Berlin"\r',
        "\r",
        "bob,email,news,0,call\r",
        "eve,email,news,yes,call\r",
        "eve,email,news,1\r",
        'eve,email,news,1,a "quote\r',
        'x"y\r',
        "eve,,news,1,form\r",
        'zoe,email,news,1,"open',
    ]
    verdicts = await put(client, "consents", *(row.encode() for row in rows), media=CSV)
    assert [(each["line"], each.get("error", 200)) for each in verdicts] == [
        (2, 200), (5, 200), (6, "validation_error"), (7, "validation_error"), (8, "validation_error"),
        (10, "validation_error"), (11, "validation_error"),
    ]  # fmt: skip
    said = {each["message"] for each in verdicts if "message" in each}
    assert "The line has 4 cells where the first line names 5 columns." in said
    assert "The line opens a quote that is not closed." in said
    kept = [json.loads(line) for line in (await exported(client, "consents")).splitlines()]
    assert {(each["person_id"], each["opted_in"], each["source"]) for each in kept} == {
        ("ada", True, 'a "form", signed\r\nin Berlin'), ("bob", False, "call"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "first",
    ["person_id;channel;category", "person_id,channel,Xylophone", "person_id,person_id", "1,2,3", "", "\x00"],
)
async def test_a_table_without_names_is_refused_at_once(client: httpx.AsyncClient, first: str) -> None:
    verdicts = await put(client, "consents", first.encode(), b"ada,email,news", media=CSV)
    assert verdicts[0]["error"] == "validation_error"
    assert "Xylophone" not in str(verdicts)
    assert await exported(client, "consents") == ""


async def test_what_is_neither_ndjson_nor_csv_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/consents/import?brand_id=loop", json=GIVEN)
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", list(GOOD))
async def test_only_who_manages_preferences_of_the_brand_may(
    client: httpx.AsyncClient, house: House, kind: str
) -> None:
    await put(client, kind, GOOD[kind])
    await brands.put_brand(house, OPERATOR, "other", BrandSettings(name="Other"))
    weak = await tokens.create(house, OPERATOR, "loop", ["read:messages"], "weak", None, None)
    other = await tokens.create(house, OPERATOR, "other", ["manage:preferences"], "other", None, None)
    own = await tokens.create(house, OPERATOR, "loop", [], "own", None, "ada")
    for token, code in ((weak, "insufficient_scope"), (other, "forbidden"), (own, "insufficient_scope")):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": NDJSON}
        for answer in (
            await client.get(f"/v1/{kind}?brand_id=loop", headers=headers),
            await client.post(
                f"/v1/{kind}/import?brand_id=loop", content=json.dumps(GOOD[kind]), headers=headers
            ),
        ):
            assert (answer.status_code, answer.json()["error"]) == (403, code)
    headers = {"Authorization": f"Bearer {other}"}
    assert (await client.get(f"/v1/{kind}?brand_id=other", headers=headers)).text == ""
    for path in (f"/v1/{kind}?brand_id=nobody", f"/v1/{kind}"):
        assert (await client.get(path)).status_code == 422


async def test_every_export_and_every_line_is_in_the_ledger(client: httpx.AsyncClient, house: House) -> None:
    for kind, line in GOOD.items():
        await put(client, kind, line)
        await exported(client, kind)
    noted = await house.database.owner.fetch(
        "select event, details from ledger where brand_id = 'loop' and request_id is not null and actor = 'everything' order by n"
    )
    assert [row["event"] for row in noted] == [
        "consent_put", "content_read", "preference_put", "content_read", "suppression_added", "content_read",
    ]  # fmt: skip
    shown = [row["details"] for row in noted if row["event"] == "content_read"]
    assert shown == [{"of": kind} for kind in GOOD]


async def test_who_was_erased_is_in_no_export_and_what_forbids_goes_on(client: httpx.AsyncClient) -> None:
    """Their rows stand, and nobody can say whose they are: taken in again they would be somebody's."""
    device = {"brand_id": "loop", "person_id": "ada", "kind": "fcm", "token": "adas"}
    made = (await client.put("/v1/devices", json=device)).json()
    await put(client, "consents", {**GIVEN, "opted_in": False}, {**GIVEN, "person_id": "bob"})
    await put(client, "preferences", {**ADA, "enabled": False})
    await put(client, "suppressions", {"device": "adas", "reason": "complaint", "source": "ada"})
    await client.delete("/v1/persons/ada", params={"brand_id": "loop"})
    [line] = (await exported(client, "consents")).splitlines()
    assert json.loads(line)["person_id"] == "bob"
    assert [await exported(client, kind) for kind in ("preferences", "suppressions")] == ["", ""]
    standing = await client.get(f"/v1/suppressions/{made['id']}", params={"brand_id": "loop"})
    assert (standing.json()["suppression"]["device"], standing.json()["suppressed"]) == ("erased", True)
    again = (await client.get("/v1/consents/ada", params={"brand_id": "loop"})).json()["data"]
    assert [(each["person_id"], each["opted_in"]) for each in again] == [("erased", False)]
    await put(client, "consents", GIVEN)
    assert len((await exported(client, "consents")).splitlines()) == 2


async def test_lists_that_name_the_same_new_persons_at_a_time_are_all_taken(
    client: httpx.AsyncClient, house: House
) -> None:
    """A person's secret is made once, whoever comes first."""
    lines = [{**GIVEN, "person_id": f"p{number}"} for number in range(60)]
    told = await asyncio.gather(*(put(client, "consents", *given) for given in (lines, lines[::-1], lines)))
    assert {each["status"] for verdicts in told for each in verdicts} == {200}
    assert await house.database.owner.fetchval("select count(*) from person_key") == 60
    shown = {json.loads(line)["person_id"] for line in (await exported(client, "consents")).splitlines()}
    assert len(shown) == 60


async def test_pages_hold_together(
    client: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rows of one person and address, read three at a time."""
    monkeypatch.setattr("comms.actions.transfers._PAGE", 3)
    consents = [{**GIVEN, "person_id": f"p{n % 5}", "category": f"c{n}"} for n in range(60)]
    stops = [
        {"email": f"a{n}@b.org", "reason": reason, "source": "x"}
        for n in range(12)
        for reason in ("manual", "complaint", "unsubscribe", "hard_bounce")
    ]
    await put(client, "consents", *consents)
    await put(client, "suppressions", *stops)
    assert len(set((await exported(client, "consents")).splitlines())) == 60
    assert len(set((await exported(client, "suppressions")).splitlines())) == 48
    assert await house.database.owner.fetchval("select count(*) from suppression") == 48


async def test_a_token_that_is_revoked_meanwhile_reads_and_writes_no_further(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    await put(client, "consents", *({**GIVEN, "person_id": f"p{n}"} for n in range(5)))
    token = await tokens.create(house, OPERATOR, "loop", ["manage:preferences"], "short", None, None)
    line = json.dumps(GIVEN).encode() + b"\n"

    async def body() -> Any:
        yield line
        await asyncio.sleep(0)
        await tokens.revoke(house, OPERATOR, "short")
        clock.advance(1)
        yield line * 3

    answer = await client.post(
        "/v1/consents/import?brand_id=loop",
        content=body(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": NDJSON},
    )
    verdicts = [json.loads(each) for each in answer.text.splitlines()]
    assert codes(verdicts)[1:] == ["invalid_token"] * 3


async def test_a_database_that_is_away_is_a_verdict(client: httpx.AsyncClient, house: House) -> None:
    await house.database.owner.execute("alter table consent rename to consent_away")
    try:
        verdicts = await put(client, "consents", GIVEN, GIVEN)
    finally:
        await house.database.owner.execute("alter table consent_away rename to consent")
    assert codes(verdicts) == ["internal_error"] * 2
    assert codes(await put(client, "consents", GIVEN)) == [200]
