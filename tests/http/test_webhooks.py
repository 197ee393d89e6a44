"""Where providers call: no token, their signature, and not a word too much."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import brands, suppressions, webhooks
from comms.actions.house import House
from comms.actions.webhooks import events_url
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.http.app import application
from comms.http.webhooks import LARGEST
from comms.providers.catalogue import KINDS
from comms.providers.events import Confirmation, Incoming
from comms.testing import FakeClock
from tests.providers.signing import BY_KIND, VOICES, Folded, Voice, recorded
from tests.providers.vendor_cases import CASES
from tests.providers.vendor_server import Said, vendor

pytestmark = pytest.mark.anyio

every_voice = pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.kind)


@pytest.fixture
async def anybody(house: House, loop_health: Caller) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token, at the address that the calls are signed for."""
    assert loop_health.brand_id == "*"
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(house)), base_url="https://comms.example"
    ) as opened:
        yield opened


async def put(house: House, caller: Caller, voice: Voice, provider_id: str = "vendor") -> None:
    case = next(each for each in CASES if each.kind == voice.kind)
    shared: Any = {"baa": False, "limits": {}, "brands": ["loop"]}
    secrets: dict[str, str | None] = {**case.secrets, **voice.secrets}
    await brands.put_provider(house, caller, provider_id, case.kind, dict(case.settings), secrets, **shared)


async def post(client: httpx.AsyncClient, incoming: Incoming, **changes: Any) -> httpx.Response:
    url = changes.pop("url", incoming.address)
    headers = changes.pop("headers", dict(incoming.headers))
    return await client.post(url, content=changes.pop("content", incoming.body), headers=headers)


def said(voice: Voice, name: str | None = None) -> Any:
    return next(each.body for each in recorded(voice.kind) if (each.name == name if name else each.says))


async def kept(house: House) -> int:
    found: int = await house.database.owner.fetchval("select count(*) from provider_event")
    return found


@every_voice
async def test_a_signed_call_is_taken_in_quickly_and_counted(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient, voice: Voice
) -> None:
    await put(house, loop_health, voice)
    incoming = voice.call(said(voice), clock.now())
    for _ in range(2):
        answer = await post(anybody, incoming)
        assert (answer.status_code, answer.json()) == (200, {"received": 1})
    assert await kept(house) == 1


@every_voice
async def test_a_forged_call_is_refused_and_leaves_nothing(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient, voice: Voice
) -> None:
    await put(house, loop_health, voice)
    await put(house, loop_health, voice, "other")
    before = await house.database.owner.fetchval("select count(*) from ledger")
    good = voice.call(said(voice), clock.now())
    stripped = json.dumps({"event-data": {"event": "complained"}})
    refused = [
        await post(anybody, voice.call(said(voice), clock.now(), by_stranger=True)),
        await post(anybody, good, headers={"Content-Type": "application/json"}, content=stripped),
        await post(anybody, good, headers={}, content=b""),
    ]
    for answer in refused:
        assert (answer.status_code, list(answer.json())) == (401, ["error", "message"])
        assert answer.json()["error"] == "invalid_signature"
    assert len({answer.text for answer in refused}) == 1  # nobody is told why
    assert await kept(house) == 0
    assert await house.database.owner.fetchval("select count(*) from ledger") == before


@pytest.mark.parametrize(
    "provider_id", ["nobody", "sand", "box", "vendor/x", "%00", "a" * 300, "..%2F..%2Fetc"]
)
async def test_who_is_not_there_or_never_calls_is_not_told_apart(
    house: House, anybody: httpx.AsyncClient, provider_id: str
) -> None:
    answers = [
        await anybody.post(f"/v1/webhooks/{name}", json={"event": "delivered"})
        for name in (provider_id, "nobody")
    ]
    if answers[0].status_code != 422:  # a name that none can have
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].text == answers[1].text
    assert await kept(house) == 0


@every_voice
async def test_a_thousand_forgeries_leave_nothing(
    house: House, loop_health: Caller, clock: FakeClock, voice: Voice
) -> None:
    """Each is a true call of which one character that it is signed by is another, or something is missing."""
    await put(house, loop_health, voice)
    chance = random.Random(f"{voice.kind} 20261124")
    good = replace(voice.call(said(voice), clock.now()), now=clock.now())
    inside = {"mailgun": b'"signature": "', "vonage": b'"sig": "'}.get(voice.kind)
    for _ in range(1000 // len(VOICES)):
        forged = _body_spoilt(good, inside, chance) if inside else _header_spoilt(good, chance)
        with pytest.raises(Refused, match="invalid_signature"):
            await webhooks.receive(house, "vendor", forged)
    assert await kept(house) == 0
    assert (await webhooks.receive(house, "vendor", good)).received == 1


def _header_spoilt(good: Incoming, chance: random.Random) -> Incoming:
    name = chance.choice([name for name in good.headers if name != "content-type"])
    headers = {each: value for each, value in good.headers.items() if each != name}
    if chance.random() < 0.9:
        headers[name] = _spoilt(good.headers[name], chance)
    return replace(good, headers=Folded(headers))


def _body_spoilt(good: Incoming, before: bytes, chance: random.Random) -> Incoming:
    at = good.body.index(before) + len(before) + chance.randrange(64)
    digit = b"0" if good.body[at : at + 1] != b"0" else b"1"
    return replace(good, body=good.body[:at] + digit + good.body[at + 1 :])


def _spoilt(value: str, chance: random.Random) -> str:
    """Where it counts: the end of Base64 may hold bits that say nothing, and of two signatures the first is old."""
    is_long = len(value) > 14
    at = chance.randrange(len(value) // 2 + 2, len(value) - 4) if is_long else chance.randrange(len(value))
    return value[:at] + ("7" if value[at] != "7" else "8") + value[at + 1 :]


async def test_an_address_that_a_provider_asks_about_is_confirmed_once_it_can_be(
    house: House, loop_health: Caller, anybody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendor(Said(503), Said(200)) as server:
        asks = replace(KINDS["sandbox"], parse_events=lambda *_: [Confirmation(f"{server.url}/confirm")])
        monkeypatch.setitem(KINDS, "asks", asks)
        shared: Any = {"baa": False, "limits": {}, "brands": None}
        await brands.put_provider(house, loop_health, "asks", "asks", {}, {}, **shared)
        answers = [await anybody.post("/v1/webhooks/asks", content=b"{}") for _ in range(2)]
        await house.webhooks._http.__aexit__()
    assert [each.status_code for each in answers] == [503, 200]
    assert [each.line for each in server.asked] == ["GET /confirm HTTP/1.1"] * 2


async def test_without_a_secret_nothing_is_believed(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    voice = BY_KIND["postmark"]
    await put(house, loop_health, voice)
    secrets: dict[str, str | None] = {"webhook_secret": None}
    shared: Any = {"baa": False, "limits": {}, "brands": None}
    await brands.put_provider(house, loop_health, "vendor", "postmark", {}, secrets, **shared)
    assert (await post(anybody, voice.call(said(voice), clock.now()))).status_code == 401


async def test_what_is_signed_and_not_understood_is_said_so_and_logged(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    voice = BY_KIND["telnyx"]
    await put(house, loop_health, voice)
    answer = await post(anybody, voice.call({"data": {"event_type": 7}}, clock.now()))
    assert (answer.status_code, answer.json()["error"]) == (422, "unreadable_webhook")


async def test_a_text_through_twilio_is_answered_with_no_reply(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    voice = BY_KIND["twilio"]
    await put(house, loop_health, voice)
    answer = await post(anybody, voice.call(said(voice, "a text"), clock.now()))
    assert answer.headers["content-type"] == "text/xml"
    assert answer.text == '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
    standing = await house.database.owner.fetch("select brand_id, channel, reason from suppression")
    assert [tuple(row) for row in standing] == [("loop", "sms", "stop")]


async def test_our_public_name_is_what_a_signature_is_checked_against(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    """A proxy in front may have changed scheme and host; who calls us by another name can't use that."""
    voice = BY_KIND["twilio"]
    await put(house, loop_health, voice)
    incoming = voice.call(said(voice), clock.now())
    path = incoming.address.removeprefix("https://comms.example")
    assert (await post(anybody, incoming, url=f"http://10.0.0.7:8080{path}")).status_code == 401
    object.__setattr__(
        house, "settings", msgspec.structs.replace(house.settings, public_url="https://comms.example/")
    )
    assert (await post(anybody, incoming, url=f"http://10.0.0.7:8080{path}")).status_code == 200
    object.__setattr__(
        house, "settings", msgspec.structs.replace(house.settings, public_url="https://else.example")
    )
    assert (await post(anybody, incoming)).status_code == 401


async def test_the_address_counts_as_it_was_written(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    voice = BY_KIND["postmark"]
    await put(house, loop_health, voice, "mail/eu 1")
    incoming = voice.call(said(voice), clock.now())
    answer = await post(anybody, incoming, url="https://comms.example/v1/webhooks/mail%2Feu%201")
    assert answer.status_code == 200
    assert events_url(house.settings, "mail/eu 1") is None
    object.__setattr__(
        house, "settings", msgspec.structs.replace(house.settings, public_url="https://c.example/")
    )
    assert events_url(house.settings, "mail/eu 1") == "https://c.example/v1/webhooks/mail%2Feu%201"


async def test_many_events_in_one_call(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    voice = BY_KIND["sendgrid"]
    await put(house, loop_health, voice)
    [one] = said(voice)
    many = [{**one, "sg_event_id": f"event-{n}"} for n in range(2500)]
    incoming = voice.call(many, clock.now())
    assert 512 * 1024 < len(incoming.body) < LARGEST
    answer = await post(anybody, incoming)
    assert answer.json() == {"received": 2500}
    assert await kept(house) == 2500


async def test_a_call_that_is_too_large_is_not_read_to_its_end(
    house: House, loop_health: Caller, clock: FakeClock, anybody: httpx.AsyncClient
) -> None:
    voice = BY_KIND["postmark"]
    await put(house, loop_health, voice)
    answer = await post(anybody, voice.call(said(voice), clock.now()), content=b" " * (LARGEST + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")


async def test_a_get_is_no_call(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/v1/webhooks/vendor")).status_code == 405


async def test_where_the_database_is_away_the_provider_is_asked_to_come_again(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    anybody: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    voice = BY_KIND["postmark"]
    await put(house, loop_health, voice)

    async def away(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr("comms.store.events.keep", away)
        assert (await post(anybody, voice.call(said(voice), clock.now()))).status_code == 503
    assert (await post(anybody, voice.call(said(voice), clock.now()))).status_code == 200


# The published call, which a client with a token makes.

REPORT = {"brand_id": "loop", "recipient_email": "Ada@Example.org", "vendor_message_id": "m-1"}


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("bounce", "hard_bounce"), ("email.bounced", "hard_bounce"), ("HardBounce", "hard_bounce"),
        ("complaint", "complaint"), ("SpamComplaint", "complaint"), ("email.complained", "complaint"),
        ("unsubscribe", "unsubscribe"), ("group_unsubscribe", "unsubscribe"),
        ("SoftBounce", None), ("delivered", None), ("email.opened", None), ("", None), ("é", None),
    ],
)  # fmt: skip
async def test_a_report_suppresses_or_is_ignored(
    house: House, loop_health: Caller, client: httpx.AsyncClient, type_: str, reason: str | None
) -> None:
    report = {**REPORT, "type": type_, "MessageStream": "outbound", "Metadata": {"a": 1}}
    answer = await client.post("/v1/webhooks/email", json=report)
    assert answer.status_code == 200
    action = "suppressed" if reason else "ignored"
    assert answer.json() == {"action": action, "type": type_, "vendor_message_id": "m-1"}
    standing = await suppressions.of_address(house, loop_health, "loop", "ada@example.org")
    assert (standing["reason"] if standing else None) == reason


async def test_a_report_needs_a_token_and_its_two_members(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    assert (await anybody.post("/v1/webhooks/email", json=REPORT)).status_code == 401
    for missing in ("brand_id", "recipient_email"):
        body = {name: value for name, value in REPORT.items() if name != missing}
        assert (await client.post("/v1/webhooks/email", json=body)).status_code == 422
    for wrong in ({"brand_id": "nobody"}, {"recipient_email": "no address"}, {"brand_id": ""}):
        assert (
            await client.post("/v1/webhooks/email", json=REPORT | {"type": "bounce"} | wrong)
        ).status_code == 422
