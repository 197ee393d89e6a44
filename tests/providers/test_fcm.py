"""What FCM is sent, held against the document that Google publishes, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt as pyjwt
import pytest

from comms.providers import catalogue, fcm
from comms.providers.base import Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.providers.http import Http
from tests.providers.contract import KEY, LINK, NOW, account, outcome_of, tools
from tests.providers.published import complaints_of_google
from tests.providers.push_keys import GOOGLE_SIGNER, SERVICE_ACCOUNT
from tests.providers.pushes import MESSAGE_ID, asked, claims, served
from tests.providers.vendor_cases import FCM, fcm_error
from tests.providers.vendor_server import Said, vendor

pytestmark = pytest.mark.anyio


async def test_fcm_is_sent_what_its_document_asks_for() -> None:
    request = await asked(FCM)
    assert request.line == "POST /v1/projects/loop-4711/messages:send HTTP/1.1"
    assert request.headers["authorization"] == "Bearer ya29.ada"
    message: Any = request.json["message"]
    assert message["token"] == FCM.token
    assert message["notification"] == {"title": "Your visit", "body": "Hi Ada: 9:30"}
    assert message["data"] == {"message_id": MESSAGE_ID, "action_url": LINK}
    assert message["android"] == {"priority": "HIGH", "ttl": "14400s", "notification": {"tag": KEY}}
    expires = str(int((NOW + timedelta(hours=4)).timestamp()))
    assert message["apns"]["headers"] == {
        "apns-priority": "10",
        "apns-expiration": expires,
        "apns-collapse-id": KEY,
    }
    assert message["webpush"]["fcmOptions"] == {"link": LINK}
    assert complaints_of_google("fcm/fcm.v1.json", "SendMessageRequest", request.json) == []


async def test_googles_document_would_complain() -> None:
    """The judge is one."""
    wrong = {"message": {"tokens": "x", "data": {"n": 1}, "android": {"priority": "URGENT", "ttl": 5}}}
    assert len(complaints_of_google("fcm/fcm.v1.json", "SendMessageRequest", wrong)) == 4


async def test_fcms_token_is_asked_for_as_googles_pages_say() -> None:
    [request] = (await served(FCM)).asked_aside
    assert request.line == "POST /token HTTP/1.1"
    assert request.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assertion = request.form["assertion"]
    found = claims(
        assertion, GOOGLE_SIGNER.public_key(), "RS256", audience="https://oauth2.googleapis.com/token"
    )
    assert pyjwt.get_unverified_header(assertion) == {
        "alg": "RS256",
        "typ": "JWT",
        "kid": "1234567890abcdef",
    }
    assert found["iss"] == "comms@loop-4711.iam.gserviceaccount.com"
    assert found["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert (found["iat"], found["exp"] - found["iat"]) == (int(NOW.timestamp()), 3600)


async def test_fcms_token_is_fetched_once_for_many_and_again_before_it_ends() -> None:
    now = NOW
    async with vendor(FCM.taken, aside=FCM.aside) as server, Http() as http:
        settings, secrets = {**FCM.settings, "base_url": server.url}, dict(FCM.secrets)
        held = replace(tools(http), now=lambda: now)
        provider = catalogue.build("fcm", settings, secrets, held)
        await asyncio.gather(*(provider.send(FCM.outgoing) for _ in range(10)))
        assert (len(server.asked), len(server.asked_aside)) == (10, 1)
        now = NOW + timedelta(minutes=54)
        await provider.send(FCM.outgoing)
        assert len(server.asked_aside) == 1
        now = NOW + timedelta(minutes=56)
        await provider.send(FCM.outgoing)
        assert len(server.asked_aside) == 2


async def test_fcms_token_that_is_refused_is_not_used_again() -> None:
    script = (FCM.misconfigured, FCM.taken)
    async with vendor(*script, aside=FCM.aside) as server, account(FCM, server.url) as provider:
        assert isinstance(await provider.send(FCM.outgoing), Misconfigured)
        await provider.send(FCM.outgoing)
        assert len(server.asked_aside) == 2


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Said(400, {"error": "invalid_grant"}), Misconfigured("fcm_token_refused")),
        (Said(401, raw=b""), Misconfigured("fcm_token_refused")),
        (Said(429, {}), TryLater("token_unanswered")),
        (Said(503, {}), TryLater("token_unanswered")),
        (Said(200, {"access_token": 7, "expires_in": 3599}), TryLater("token_unanswered")),
        (Said(200, raw=b"<html>"), TryLater("token_unanswered")),
    ],
)
async def test_without_a_token_nothing_was_sent(answer: Said, outcome: Outcome) -> None:
    async with vendor(FCM.taken, aside={"/token": answer}) as server, account(FCM, server.url) as provider:
        assert await provider.send(FCM.outgoing) == outcome
        assert server.asked == []


async def test_a_service_account_may_name_its_own_token_server() -> None:
    async with vendor(Said(200, {"access_token": "own", "expires_in": 60})) as elsewhere:
        named = json.dumps(json.loads(SERVICE_ACCOUNT) | {"token_uri": f"{elsewhere.url}/oauth2/token"})
        async with (
            vendor(FCM.taken) as server,
            account(FCM, server.url, secrets={"service_account": named}) as provider,
        ):
            await provider.send(FCM.outgoing)
        assert elsewhere.asked[0].path == "/oauth2/token"
        assert server.asked[0].headers["authorization"] == "Bearer own"


@pytest.mark.parametrize(
    "text",
    ["7", "{}", "[]", SERVICE_ACCOUNT.replace("BEGIN", "BEGUN"), SERVICE_ACCOUNT.replace("https:", "file:")],
    ids=["number", "empty", "list", "no PEM", "no address"],
)
async def test_a_service_account_that_is_none_is_our_set_up(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        vendor(FCM.taken) as server,
        account(FCM, server.url, secrets={"service_account": text}) as provider,
    ):
        assert await provider.send(FCM.outgoing) == Misconfigured("service_account_malformed")
    assert server.connections == 0


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Said(404, fcm_error(404, "NOT_FOUND", "UNREGISTERED")), Rejected("fcm_UNREGISTERED", bad_recipient=True)),
        (Said(404, {"error": {"code": 404, "status": "NOT_FOUND"}}), Misconfigured("fcm_http_404")),
        (Said(400, fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")), Rejected("fcm_INVALID_ARGUMENT")),
        (Said(400, {"error": {"status": "INVALID_ARGUMENT", "message": "The registration token is not a valid FCM registration token"}}), Rejected("fcm_NO_TOKEN", bad_recipient=True)),
        (Said(400, {"error": {"status": "INVALID_ARGUMENT", "message": "registration token", "details": [{"@type": fcm._VIOLATION, "fieldViolations": [{"field": "message.android.ttl"}]}]}}), Rejected("fcm_INVALID_ARGUMENT")),
        (Said(400, {"error": {"status": "INVALID_ARGUMENT", "details": [{"@type": fcm._VIOLATION, "fieldViolations": [{"field": "message.token"}]}]}}), Rejected("fcm_NO_TOKEN", bad_recipient=True)),
        (Said(400, {"error": {"status": "INVALID_ARGUMENT", "details": [7, {"@type": fcm._VIOLATION, "fieldViolations": [7, {}]}]}}), Rejected("fcm_INVALID_ARGUMENT")),
        (Said(503, fcm_error(503, "UNAVAILABLE", "UNAVAILABLE")), TryLater("fcm_UNAVAILABLE")),
        (Said(500, fcm_error(500, "INTERNAL", "INTERNAL")), Lost("fcm_http_500")),
        (Said(403, {"error": {"status": "PERMISSION_DENIED"}}), Misconfigured("fcm_http_403")),
    ],
)  # fmt: skip
async def test_each_odd_answer_has_its_meaning(answer: Said, outcome: Outcome) -> None:
    assert (await outcome_of(FCM, answer))[0] == outcome
