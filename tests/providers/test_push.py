"""What every push service is sent, whichever it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from comms.domain.content import Rendered
from comms.domain.errors import Refused
from comms.providers import apns, catalogue, expo, fcm, webpush
from comms.providers.base import Rejected
from comms.providers.signing import elliptic_key
from tests.providers.contract import NOW, PUSH, Case, account, outcome_of
from tests.providers.push_keys import APNS_KEY, BROWSER, SERVICE_ACCOUNT, VAPID_KEY
from tests.providers.pushes import asked
from tests.providers.vendor_cases import APNS, EXPO, FCM, WEBPUSH
from tests.providers.vendor_server import vendor

PUSHES = [FCM, APNS, WEBPUSH, EXPO]
each = pytest.mark.parametrize("case", PUSHES, ids=lambda case: case.kind)

pytestmark = pytest.mark.anyio


@each
async def test_what_is_too_large_is_not_sent(case: Case) -> None:
    large = replace(PUSH.content, body="ü" * 2048)
    outcome, server = await outcome_of(case, case.taken, content=large)
    assert outcome == Rejected("too_large")
    assert server.connections == 0


@each
async def test_the_largest_that_goes_is_as_large_as_the_service_takes(case: Case) -> None:
    async with vendor(case.taken, aside=case.aside) as server, account(case, server.url) as provider:
        content = Rendered("", "x" * 4096)
        while await provider.send(replace(case.outgoing, content=content)) == Rejected("too_large"):
            content = replace(content, body=content.body[1:])
    [request] = server.asked
    if case is WEBPUSH:
        assert len(request.body) == 4096
        assert BROWSER.opened(request.body)["body"] == content.body
    elif case is APNS:
        assert len(request.body) == 4096
    else:
        assert 4096 <= len(request.body) < 4096 + 200  # the token, and what wraps it, does not count


@each
async def test_what_is_not_transactional_does_not_wake_the_device(case: Case) -> None:
    request = await asked(case, category="news", lifetime=30.0)
    if case is FCM:
        message: Any = request.json["message"]
        assert message["android"]["priority"] == "NORMAL"
        assert message["apns"]["headers"]["apns-priority"] == "5"
        assert message["webpush"]["headers"] == {"TTL": "30", "Urgency": "normal"}
    elif case is APNS:
        assert request.headers["apns-priority"] == "5"
    elif case is WEBPUSH:
        assert (request.headers["urgency"], request.headers["ttl"]) == ("normal", "30")
    else:
        assert (request.json["priority"], request.json["ttl"]) == ("normal", 30)


@each
async def test_a_lifetime_of_any_length_is_one_that_the_service_knows(case: Case) -> None:
    for lifetime, kept in ((-5.0, 0), (1e9, 2_419_200)):
        request = await asked(case, lifetime=lifetime)
        if case is FCM:
            assert request.json["message"]["android"]["ttl"] == f"{kept}s"  # type: ignore[index]
        elif case is EXPO:
            assert request.json["ttl"] == kept
        elif case is WEBPUSH:
            assert int(request.headers["ttl"]) in (0, 2_592_000)
        else:
            assert int(request.headers["apns-expiration"]) >= int(NOW.timestamp())


@each
async def test_words_of_any_kind_arrive_as_they_are(case: Case) -> None:
    content = Rendered(None, '"}]\u2028</script>\n😀', action_url=None)
    request = await asked(case, content=content)
    said: Any = BROWSER.opened(request.body) if case is WEBPUSH else request.json
    notification = (
        said["message"]["notification"] if case is FCM else said["aps"]["alert"] if case is APNS else said
    )
    assert notification["body"] == content.body
    assert "title" not in notification
    assert "action_url" not in request.body.decode(errors="replace")


@pytest.mark.parametrize("meanings", [fcm._MEANINGS, apns._MEANINGS, webpush._MEANINGS, expo._MEANINGS])
def test_no_code_means_two_things(meanings: Any) -> None:
    codes = [*meanings.bad_recipient, *meanings.refused, *meanings.later, *meanings.setup, *meanings.lost]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("kind", "settings", "complaint"),
    [
        ("fcm", {}, "project_id is missing"),
        ("fcm", {"project_id": "a/b"}, "project_id does not have the form"),
        (
            "apns",
            {"team_id": "short", "key_id": "ABC123DEFG", "topic": "x"},
            "team_id does not have the form",
        ),
        ("apns", {"team_id": "DEF123GHIJ", "key_id": "ABC123DEFG"}, "topic is missing"),
        ("webpush", {"subject": "care@loop.test"}, "subject does not have the form"),
        ("webpush", {}, "subject is missing"),
        ("expo", {"project": "x"}, "did you mean base_url"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    kind: str, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Refused, match=complaint):
        catalogue.check(kind, settings, set())


@pytest.mark.parametrize(
    "text",
    [APNS_KEY, VAPID_KEY, f" {VAPID_KEY}=\n", "".join(APNS_KEY.splitlines()[1:-1])],
    ids=["pem", "number", "padded", "der"],
)
def test_a_key_is_read_however_it_is_handed_out(text: str) -> None:
    assert elliptic_key(text).curve.name == "secp256r1"


@pytest.mark.parametrize(
    "text",
    ["", "x", "AAAA", "-----BEGIN PRIVATE KEY-----", "A" * 43, json.loads(SERVICE_ACCOUNT)["private_key"]],
    ids=["empty", "a letter", "short", "half a PEM", "zero", "RSA"],
)
def test_what_is_no_key_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of many kinds, and none of them said to anybody
        elliptic_key(text)
