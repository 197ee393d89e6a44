"""Tokens of others: asked about where they were issued, remembered for a moment, refused where nobody says."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import pytest
import structlog

from comms import settings, wiring
from comms.actions import health, introspection, tokens
from comms.actions.house import House
from comms.actions.introspection import BAD_SECONDS, GOOD_SECONDS, Client, Introspection
from comms.cli.local import OPERATOR
from comms.domain.caller import Caller
from comms.http.app import application
from comms.providers.http import Http
from comms.settings import BadSetting
from comms.testing import FakeClock
from tests.http.bad_inputs import GOOD
from tests.providers.vendor_server import Misdeed, Said, VendorServer, vendor
from tests.test_settings import load

pytestmark = pytest.mark.anyio

TOKEN = "lph_at_5f3c"
GRANT = {"active": True, "client_id": "booking", "scope": "write:messages read:messages", "brand": "loop"}
LIST = "/v1/messages/scheduled?brand_id=loop"


@pytest.fixture
async def issuer() -> AsyncIterator[VendorServer]:
    """Whoever issued the tokens."""
    async with vendor(Said(200, GRANT)) as server:
        yield server


@pytest.fixture
async def client(house: House, loop_health: Caller, issuer: VendorServer) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a token of the platform's."""
    assert loop_health.brand_id == "*"
    async with Http() as http:
        platform = Introspection(http, Client(issuer.url + "/introspect", "comms", "a b:c"), house.clock)
        transport = httpx.ASGITransport(application(replace(house, platform=platform)))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://comms.test", headers=headers
        ) as opened:
            yield opened


async def listed(client: httpx.AsyncClient, token: str | None = None, **headers: str) -> tuple[int, str]:
    """Status and code of a call that reads messages."""
    said = headers | ({"Authorization": f"Bearer {token}"} if token is not None else {})
    answer = await client.get(LIST, headers=said)
    return answer.status_code, answer.json().get("error", "")


async def test_who_holds_a_platforms_token_may_do_what_its_scopes_say(
    client: httpx.AsyncClient, issuer: VendorServer, house: House
) -> None:
    made = await client.post("/v1/messages/schedule", json=GOOD | {"dedup_key": "platform-1"})
    assert made.status_code == 201, made.text
    [asked] = issuer.asked
    assert asked.line == "POST /introspect HTTP/1.1"
    assert asked.form == {"token": TOKEN, "token_type_hint": "access_token"}
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"comms:a+b%3Ac"
    actor = await house.database.owner.fetchval("select actor from ledger where event = 'accepted'")
    assert actor == "platform:booking"
    answer = await client.get("/v1/audit")
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert 'scope="read:audit"' in answer.headers["WWW-Authenticate"]
    elsewhere = await client.get("/v1/messages/scheduled?brand_id=other")
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (403, "forbidden")


async def test_an_answer_counts_for_seconds_and_a_revocation_within_them(
    client: httpx.AsyncClient, issuer: VendorServer, clock: FakeClock
) -> None:
    for _ in range(3):
        assert (await listed(client))[0] == 200
    assert len(issuer.asked) == 1
    issuer.script = [Said(200, {"active": False})]
    clock.advance(GOOD_SECONDS - 0.001)
    assert (await listed(client))[0] == 200
    clock.advance(0.001)
    assert await listed(client) == (401, "invalid_token")
    clock.advance(BAD_SECONDS - 0.001)
    issuer.script = [Said(200, GRANT)]
    assert await listed(client) == (401, "invalid_token")
    assert len(issuer.asked) == 2
    clock.advance(0.001)
    assert (await listed(client))[0] == 200


async def test_no_answer_outlives_its_token(
    client: httpx.AsyncClient, issuer: VendorServer, clock: FakeClock
) -> None:
    ends = int(clock.now().timestamp()) + 2
    issuer.script = [Said(200, GRANT | {"exp": ends})]
    assert (await listed(client))[0] == 200
    clock.advance(2)
    assert await listed(client) == (401, "invalid_token")  # still called active, and over


async def test_many_calls_at_once_ask_once(client: httpx.AsyncClient, issuer: VendorServer) -> None:
    made = await asyncio.gather(*(listed(client) for _ in range(20)), listed(client, "another"))
    assert {code for code, _ in made} == {200}
    assert len(issuer.asked) == 2


@pytest.mark.parametrize(
    "said",
    [
        Said(500),
        Said(401, {"error": "invalid_client"}),
        Said(302, headers={"Location": "http://127.0.0.1:1/"}),
        Said(200, {"active": "true"}),
        Said(200, {"active": True, "brand": ["loop"]}),
        Said(200, {"active": True, "brand": "lo\0op"}),
        Said(200, {"active": True, "sub": "a\0b"}),
        Said(200, {"active": True, "client_id": "c" * 300}),
        Said(200, raw=b"<html>"),
        Said(200, raw=b"x" * 70_000),
        Misdeed.HANGS_UP_AFTER,
        Misdeed.HANGS_UP_IN_THE_ANSWER,
        Misdeed.TALKS_NONSENSE,
    ],
    ids=str,
)
async def test_where_nobody_says_nobody_is_let_in(
    client: httpx.AsyncClient, issuer: VendorServer, said: Said | Misdeed
) -> None:
    issuer.script = [said, Said(200, GRANT)]
    with structlog.testing.capture_logs() as logs:
        answer = await client.get(LIST)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert [each["event"] for each in logs] == ["introspection_failed"]
    assert TOKEN not in str(logs)
    assert (await listed(client))[0] == 200  # a failure is not remembered


async def test_what_is_fresh_counts_while_nobody_answers(
    client: httpx.AsyncClient, issuer: VendorServer, clock: FakeClock
) -> None:
    assert (await listed(client))[0] == 200
    issuer.script = [Said(503)]
    clock.advance(GOOD_SECONDS / 2)
    assert (await listed(client))[0] == 200
    clock.advance(GOOD_SECONDS / 2)
    assert await listed(client) == (503, "temporarily_unavailable")


async def test_our_own_tokens_are_shown_to_nobody(
    client: httpx.AsyncClient, issuer: VendorServer, house: House
) -> None:
    own = await tokens.create(house, OPERATOR, "loop", ["read:messages"], "own", None, None)
    assert (await listed(client, own))[0] == 200
    assert await listed(client, "comms_unknown") == (401, "invalid_token")
    for none in ("a b", "a,b", "x" * 4097, '"'):
        assert await listed(client, none) == (401, "invalid_token")
    assert issuer.asked == []


@pytest.mark.parametrize(
    ("changes", "path", "status"),
    [
        ({"scope": "manage:messages"}, LIST, 200),
        ({"scope": "read:audits write:message manage"}, LIST, 403),
        ({"scope": ""}, LIST, 403),
        ({"brand": "other"}, LIST, 403),
        ({"brand": None}, LIST, 200),
        ({"brand": None, "sub": "booking"}, LIST, 200),
        ({"brand": None, "sub": "u-1"}, LIST, 403),
        ({"brand": "*", "sub": "u-1"}, LIST, 403),
        ({"brand": "loop", "sub": "u-1"}, LIST, 200),
        ({"scope": "admin:comms"}, "/v1/audit", 200),
    ],
)
async def test_scopes_and_brand_are_the_issuers_word(
    client: httpx.AsyncClient, issuer: VendorServer, changes: dict[str, Any], path: str, status: int
) -> None:
    issuer.script = [Said(200, {k: v for k, v in (GRANT | changes).items() if v is not None})]
    assert (await client.get(path)).status_code == status


async def test_guesses_are_forgotten_and_push_out_nothing_good(
    client: httpx.AsyncClient, issuer: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "_KEPT", 3)
    assert (await listed(client))[0] == 200
    issuer.script = [Said(200, {"active": False})]
    for n in range(5):
        assert (await listed(client, f"guess-{n}"))[0] == 401
    assert (await listed(client))[0] == 200
    assert len(issuer.asked) == 6


async def test_a_doctor_says_whether_the_issuer_knows_us(house: House, issuer: VendorServer) -> None:
    async with Http() as http:
        platform = Introspection(http, Client(issuer.url, "comms", "s"), house.clock)
        asking = replace(house, platform=platform)
        issuer.script = [Said(200, {"active": False}), Said(401)]
        found = [
            next(each for each in await health.examine(asking) if each.what == "tokens of others")
            for _ in range(2)
        ]
    assert [each.advice is None for each in found] == [True, False]


CLIENT = {"COMMS_INTROSPECTION_CLIENT_ID": "comms", "COMMS_INTROSPECTION_CLIENT_SECRET": "s3cret"}


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("http://id.example.org/introspect", CLIENT, "must be https, or http on loopback"),
        ("http://127.0.0.1.example.org/", CLIENT, "must be https, or http on loopback"),
        ("ftp://127.0.0.1/", CLIENT, "must be https, or http on loopback"),
        ("https://id.example.org/introspect", {}, "needs COMMS_INTROSPECTION_CLIENT_ID"),
        (
            "https://id.example.org/introspect",
            {"COMMS_INTROSPECTION_CLIENT_ID": "comms"},
            "COMMS_INTROSPECTION_CLIENT_SECRET",
        ),
    ],
)
def test_tokens_are_shown_by_tls_alone_and_by_somebody(url: str, more: dict[str, str], said: str) -> None:
    with pytest.raises(BadSetting, match=said) as refused:
        load(COMMS_INTROSPECTION_URL=url, **more)
    assert "s3cret" not in str(refused.value)
    assert "example" not in str(refused.value)


async def test_the_secret_may_stand_in_a_file(tmp_path: Any, clock: FakeClock, issuer: VendorServer) -> None:
    file = tmp_path / "secret"
    given = load(
        COMMS_INTROSPECTION_URL=issuer.url,
        COMMS_INTROSPECTION_CLIENT_ID="comms",
        COMMS_INTROSPECTION_CLIENT_SECRET_FILE=str(file),
    )
    async with Http() as http:
        with pytest.raises(BadSetting, match="SECRET_FILE can't be read"):
            wiring._platform(given, http, clock)
        file.write_text("from a file\n")
        platform = wiring._platform(given, http, clock)
        assert platform
        assert await platform.answers()
    assert base64.b64decode(issuer.asked[0].headers["authorization"][6:]) == b"comms:from+a+file"
    assert "s3cret" not in repr(settings.load({}, tmp_path / "none"))
