"""What APNs is sent, as Apple's pages have it, and what its answers mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote
from uuid import UUID

import jwt as pyjwt
import pytest

from comms.providers import catalogue
from comms.providers.base import Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.providers.http import Http
from tests.providers.contract import KEY, LINK, NOW, outcome_of, tools
from tests.providers.push_keys import APNS_SIGNER
from tests.providers.pushes import MESSAGE_ID, asked, claims
from tests.providers.vendor_cases import APNS
from tests.providers.vendor_server import Said, vendor

pytestmark = pytest.mark.anyio


async def test_apns_is_sent_what_apples_pages_ask_for() -> None:
    request = await asked(APNS)
    assert request.path == f"/3/device/{APNS.token}"
    assert request.json == {
        "aps": {"alert": {"title": "Your visit", "body": "Hi Ada: 9:30"}, "sound": "default"},
        "message_id": MESSAGE_ID,
        "action_url": LINK,
    }
    headers = request.headers
    assert {name: headers[name] for name in headers if name.startswith("apns-") and name != "apns-id"} == {
        "apns-topic": "test.loop.visits",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int((NOW + timedelta(hours=4)).timestamp())),
        "apns-collapse-id": KEY,
    }
    assert str(UUID(headers["apns-id"])) == headers["apns-id"]
    scheme, token = headers["authorization"].split(" ")
    assert scheme == "bearer"
    assert claims(token, APNS_SIGNER.public_key(), "ES256") == {
        "iss": "DEF123GHIJ",
        "iat": int(NOW.timestamp()),
    }
    assert pyjwt.get_unverified_header(token)["kid"] == "ABC123DEFG"


async def test_a_device_token_cannot_leave_its_place_in_the_path() -> None:
    assert unquote((await asked(APNS, recipient="../../x?y#z")).path) == "/3/device/../../x?y#z"
    assert (await asked(APNS, recipient="../../x?y#z")).path.count("/") == 3


async def test_apns_token_is_renewed_before_it_ends_and_not_before_it_may() -> None:
    now = NOW
    expired = Said(403, {"reason": "ExpiredProviderToken"})
    async with vendor(APNS.taken, APNS.taken, APNS.taken, expired) as server, Http() as http:
        settings, secrets = {**APNS.settings, "base_url": server.url}, dict(APNS.secrets)
        provider = catalogue.build("apns", settings, secrets, replace(tools(http), now=lambda: now))
        outcomes = []
        for minutes in (0, 49, 51, 52, 53, 72, 73):
            now = NOW + timedelta(minutes=minutes)
            outcomes.append(await provider.send(APNS.outgoing))
        assert outcomes[-1] == TryLater("apns_ExpiredProviderToken")
    tokens = [request.headers["authorization"] for request in server.asked]
    first, second, third = dict.fromkeys(tokens)
    assert tokens == [first, first, second, second, second, second, third]


async def test_what_apns_says_of_a_token_holds_from_the_moment_that_it_says() -> None:
    outcome, _ = await outcome_of(APNS, APNS.bad_recipient)
    assert outcome == Rejected(
        "apns_Unregistered", bad_recipient=True, since=datetime(2030, 1, 1, 12, tzinfo=UTC)
    )
    for nonsense in ("soon", -1, 10**30, None, 1.5):
        said = Said(410, {"reason": "Unregistered", "timestamp": nonsense})
        assert (await outcome_of(APNS, said))[0] == Rejected("apns_Unregistered", bad_recipient=True)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Said(400, {"reason": "BadDeviceToken"}), Rejected("apns_BadDeviceToken", bad_recipient=True)),
        (Said(410, {"reason": "ExpiredToken"}), Rejected("apns_ExpiredToken", bad_recipient=True)),
        (Said(410, {"reason": "SomethingNew"}), Misconfigured("apns_http_410")),
        (Said(413, {"reason": "PayloadTooLarge"}), Rejected("apns_PayloadTooLarge")),
        (Said(429, {"reason": "TooManyProviderTokenUpdates"}), Misconfigured("apns_TooManyProviderTokenUpdates")),
        (Said(503, {"reason": "Shutdown"}), TryLater("apns_Shutdown")),
        (Said(500, {"reason": "InternalServerError"}), Lost("apns_http_500")),
    ],
)  # fmt: skip
async def test_each_odd_answer_has_its_meaning(answer: Said, outcome: Outcome) -> None:
    assert (await outcome_of(APNS, answer))[0] == outcome
