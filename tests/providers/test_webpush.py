"""What a browser is sent: opened by another library, signed as the RFCs ask, and called nowhere inside."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from comms.providers import catalogue, subscription, webpush
from comms.providers.base import Lost, Outcome, Rejected, TryLater
from comms.providers.http import Http
from comms.providers.signing import base64url, elliptic_key, unbase64
from comms.providers.subscription import NoSubscription
from tests.providers.contract import KEY, LINK, NOW, account, outcome_of, tools
from tests.providers.push_keys import BROWSER, VAPID_SIGNER
from tests.providers.pushes import MESSAGE_ID, asked, claims
from tests.providers.vendor_cases import WEBPUSH
from tests.providers.vendor_server import Said, vendor

pytestmark = pytest.mark.anyio


async def test_a_browser_is_sent_what_the_rfcs_ask_for() -> None:
    request = await asked(WEBPUSH)
    assert request.path == "/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV"
    assert BROWSER.opened(request.body) == {
        "title": "Your visit",
        "body": "Hi Ada: 9:30",
        "message_id": MESSAGE_ID,
        "action_url": LINK,
        "tag": KEY,
    }
    headers = request.headers
    assert (headers["ttl"], headers["urgency"]) == ("14400", "high")
    assert (headers["content-encoding"], headers["content-type"]) == ("aes128gcm", "application/octet-stream")
    assert len(headers["topic"]) == 32
    assert set(headers["topic"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


async def test_another_key_is_another_topic_and_another_body() -> None:
    first, again, other = [await asked(WEBPUSH, key=key) for key in ("k-0", "k-0", "k-1")]
    assert first.headers["topic"] == again.headers["topic"] != other.headers["topic"]
    assert first.body != again.body


async def test_a_browsers_push_is_signed_for_its_push_service() -> None:
    async with vendor(WEBPUSH.taken) as server, account(WEBPUSH, server.url) as provider:
        for _ in range(2):
            await provider.send(WEBPUSH.outgoing)
        first, second = server.asked
    assert first.headers["authorization"] == second.headers["authorization"]
    scheme, _, rest = first.headers["authorization"].partition(" ")
    token, public = (part.strip().partition("=")[2] for part in rest.split(","))
    assert scheme == "vapid"
    found = claims(token, VAPID_SIGNER.public_key(), "ES256", audience=server.url)
    assert found == {
        "aud": server.url,
        "exp": int((NOW + timedelta(hours=12)).timestamp()),
        "sub": "mailto:care@loop.test",
    }
    assert public == base64url(webpush._point(VAPID_SIGNER))


async def test_a_signature_is_renewed_and_kept_for_so_many_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webpush, "_ORIGINS", 3)
    now = NOW
    async with Http() as http:
        held = replace(tools(http), now=lambda: now)
        provider = webpush.WebPush(webpush.WebPushSettings("mailto:a@b.test"), dict(WEBPUSH.secrets), held)
        first = provider._token("https://a.example/x")
        now = NOW + timedelta(hours=10)
        assert provider._token("https://a.example/y") == first
        now = NOW + timedelta(hours=11, minutes=1)
        assert provider._token("https://a.example/y") != first
        for n in range(10):
            provider._token(f"https://{n}.example/")
            assert len(provider._signed) <= 3


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Said(404, {}), Rejected("webpush_404", bad_recipient=True)),
        (Said(406, raw=b""), TryLater("webpush_406")),
        (Said(503, raw=b"", headers={"Retry-After": "30"}), TryLater("webpush_http_503", 30.0)),
        (Said(503, raw=b""), Lost("webpush_http_503")),
        (Said(403, raw=b"the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n"), Rejected("webpush_other_key")),
        (Said(401, {"code": 401, "errno": 109, "message": "VAPID public key mismatch"}), Rejected("webpush_other_key")),
        (Said(400, {"reason": "VapidPkHashMismatch"}), Rejected("webpush_other_key")),
        (Said(400, {"errno": 111}), Rejected("webpush_http_400")),
    ],
)  # fmt: skip
async def test_each_odd_answer_has_its_meaning(answer: Said, outcome: Outcome) -> None:
    assert (await outcome_of(WEBPUSH, answer))[0] == outcome


def test_the_rfcs_own_example_comes_out_as_printed() -> None:
    """RFC 8291, appendix A."""
    keys = {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    }
    to = subscription.read(json.dumps({"endpoint": "https://push.example.net/push/x", "keys": keys}))
    body = webpush.encrypted(
        b"When I grow up, I want to be a watermelon",
        to,
        elliptic_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        unbase64("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
        "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


INSIDE = [
    "https://localhost/x",
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://10.0.0.8/x",
    "https://169.254.169.254/latest/meta-data",
    "https://redis/x",
    "https://db.internal/x",
    "http://push.example.net/x",
]
MALFORMED = [
    "https://u:p@push.example.net/x",
    "https://[::1]/x",
    "https://push.example.net",
    "https://push.example.net\\@localhost/x",
    "https://push.example.net/x y",
    "https://push.example.net/\r\nHost: x",
    "https://püsh.example.net/x",
    "ftp://push.example.net/x",
    "https://push.example.net/" + "x" * 3000,
    "",
]


@pytest.mark.parametrize("endpoint", [*INSIDE, *MALFORMED])
async def test_an_endpoint_that_leads_inside_or_nowhere_is_not_called(endpoint: str) -> None:
    token = BROWSER.token(endpoint)
    with pytest.raises(NoSubscription) as refused:
        subscription.read(token)
    assert endpoint not in str(refused.value) or not endpoint
    async with Http() as http:
        provider = catalogue.build("webpush", dict(WEBPUSH.settings), dict(WEBPUSH.secrets), tools(http))
        outcome = await provider.send(replace(WEBPUSH.outgoing, recipient=token))
    assert outcome == Rejected("webpush_no_subscription", bad_recipient=True)


async def test_a_name_that_leads_inside_after_all_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is called by is what was looked at: a name has no second chance."""
    led_to: list[str] = []

    async def lookup(_self: object, host: str, port: int, *_: object) -> list[dict[str, object]]:
        led_to.append(host)
        kind = {"proto": 6, "flags": 0, "family": socket.AF_INET, "hostname": host, "port": port}
        return [{**kind, "host": "127.0.0.1"}]

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", lookup)
    async with vendor(WEBPUSH.taken) as server, Http() as http:
        provider = catalogue.build("webpush", dict(WEBPUSH.settings), dict(WEBPUSH.secrets), tools(http))
        port = server.url.rpartition(":")[2]
        token = BROWSER.token(f"https://push.example.net:{port}/x")
        assert await provider.send(replace(WEBPUSH.outgoing, recipient=token)) == Rejected("address_inside")
        assert (led_to, server.connections) == (["push.example.net"], 0)


async def test_another_server_may_stand_in_for_all_endpoints() -> None:
    async with vendor(WEBPUSH.taken) as server, account(WEBPUSH, server.url) as provider:
        for endpoint in ("https://push.example.net/a/b?c=d", "http://127.0.0.1:1/a/b?c=d"):
            await provider.send(replace(WEBPUSH.outgoing, recipient=BROWSER.token(endpoint)))
    assert [request.path for request in server.asked] == ["/a/b?c=d"] * 2


def test_a_subscription_has_one_spelling() -> None:
    given = json.loads(BROWSER.token("https://push.example.net/x"))
    padded = {name: value + "=" * (-len(value) % 4) for name, value in given["keys"].items()}
    other = {"keys": {**padded, "more": 1}, "endpoint": given["endpoint"]}
    text = subscription.read(json.dumps(other, indent=2)).text()
    assert text == subscription.read(json.dumps(given)).text()
    assert list(json.loads(text)) == ["endpoint", "keys"]
    assert "=" not in text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"keys": None}, "must be a PushSubscription"),
        ({"endpoint": 7}, "must be a PushSubscription"),
        ({"p256dh": "BAAA"}, r"keys\.p256dh"),
        ({"p256dh": base64url(b"\x04" + b"\x01" * 64)}, r"keys\.p256dh"),
        ({"p256dh": base64url(b"\x02" + b"\x01" * 32)}, r"keys\.p256dh"),
        ({"p256dh": "é"}, r"keys\.p256dh"),
        ({"auth": "AAAA"}, r"keys\.auth"),
        ({"auth": "*" * 22}, r"keys\.auth"),
    ],
)
def test_a_subscription_that_is_none_is_told_why(change: dict[str, Any], complaint: str) -> None:
    given = json.loads(BROWSER.token("https://push.example.net/x"))
    for name, value in change.items():
        (given["keys"] if name in given["keys"] else given)[name] = value
    with pytest.raises(NoSubscription, match=complaint):
        subscription.read(json.dumps(given))


@pytest.mark.parametrize("text", ["", "null", "[]", "token-1", "{", "[" * 100_000])
def test_what_is_no_json_is_no_subscription(text: str) -> None:
    with pytest.raises(NoSubscription):
        subscription.read(text)
