"""Push services' adapters against peers that are not ours: a browser, Expo's own client, node-apn, real HTTP/2."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt as pyjwt
import msgspec
import pytest
import trustme

from comms.domain.content import Rendered
from comms.providers.base import Accepted, Outcome, Rejected, TryLater
from comms.providers.signing import base64url
from comms.providers.webpush import _point
from tests.providers.contract import LINK, account
from tests.providers.peers import (
    PACKAGES,
    Http2Server,
    http2_server,
    needs_packages,
    node,
    said_by,
    trust,
)
from tests.providers.push_keys import APNS_KEY, APNS_SIGNER, VAPID_SIGNER
from tests.providers.pushes import MESSAGE_ID
from tests.providers.vendor_cases import APNS, EXPO, WEBPUSH, expo_error
from tests.providers.vendor_server import Asked, Said, vendor

pytestmark = pytest.mark.anyio

TOKEN = APNS.token[:-4]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    trust(made, tmp_path, monkeypatch)
    return made


@pytest.fixture
async def apple(tmp_path: Path, authority: trustme.CA) -> AsyncIterator[Http2Server]:
    async with http2_server(tmp_path, authority) as running:
        yield running


async def pushed(server: Http2Server, *tokens: str) -> list[Outcome]:
    async with account(APNS, server.url) as provider:
        return [await provider.send(replace(APNS.outgoing, recipient=each, hipaa=True)) for each in tokens]


async def test_apns_is_reached_over_http2_and_believed(apple: Http2Server) -> None:
    taken, dead, bad, busy = await pushed(
        apple, f"{TOKEN}0000", f"{TOKEN}dead", f"{TOKEN}bad0", f"{TOKEN}b451"
    )
    requests = [await apple.was_asked() for _ in range(4)]
    assert taken == Accepted(requests[0]["headers"]["apns-id"])
    assert isinstance(dead, Rejected)
    assert (dead.reason, dead.bad_recipient, dead.since is not None) == ("apns_Unregistered", True, True)
    assert bad == Rejected("apns_BadDeviceToken", bad_recipient=True)
    assert busy == TryLater("apns_TooManyRequests")
    assert {each["session"] for each in requests} == {1}
    assert {each["headers"]["authorization"] for each in requests} == {
        requests[0]["headers"]["authorization"]
    }


async def test_node_apn_says_the_same_to_apple(apple: Http2Server, tmp_path: Path) -> None:
    needs_packages()
    (tmp_path / "apns.p8").write_text(APNS_KEY)
    await pushed(apple, f"{TOKEN}0000")
    ours = await apple.was_asked()
    options = (str(PACKAGES), str(apple.port), str(tmp_path / "ca.pem"), str(tmp_path / "apns.p8"))
    async with node("apn.mjs", *options, "test.loop.visits", f"{TOKEN}0000") as client:
        assert (await said_by(client))["failed"] == []
    theirs = await apple.was_asked()
    differing = {"user-agent", "content-length", "authorization", "accept", "accept-encoding", "content-type"}
    assert set(ours["headers"]) - differing == set(theirs["headers"]) - differing
    same = {":method", ":path", ":scheme", "apns-topic", "apns-push-type", "apns-priority"}
    assert {name: ours["headers"][name] for name in same} == {name: theirs["headers"][name] for name in same}
    for each in (ours, theirs):
        scheme, token = each["headers"]["authorization"].split(" ")
        found = pyjwt.decode(
            token, APNS_SIGNER.public_key(), algorithms=["ES256"], options={"verify_iat": False}
        )
        assert (scheme, found["iss"], set(found)) == ("bearer", "DEF123GHIJ", {"iss", "iat"})
        assert pyjwt.get_unverified_header(token)["kid"] == "ABC123DEFG"
    assert json.loads(ours["body"])["aps"] == json.loads(theirs["body"])["aps"]


class Page:
    """A page in a browser that holds a subscription: web-push-testing's."""

    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}"
        self.url = f"http://localhost:{port}"
        self.token = ""
        self._name = ""

    async def asks(self, path: str, members: dict[str, Any]) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._at + path, json=members) as response,
        ):
            return await response.json() if response.content_type == "application/json" else None

    async def subscribes(self, public_key: str) -> None:
        wanted = {"applicationServerKey": public_key, "userVisibleOnly": "true"}
        found = (await self.asks("/subscribe", wanted))["data"]
        self._name = found.pop("clientHash")
        self.token = json.dumps(found)

    async def reads(self) -> list[Any]:
        found = await self.asks("/get-notifications", {"clientHash": self._name})
        return [json.loads(text) for text in found["data"]["messages"]]

    async def leaves(self) -> None:
        await self.asks(f"/expire-subscription/{self._name}", {})


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    needs_packages()
    async with node("browser.mjs", str(PACKAGES)) as server:
        opened = Page(await said_by(server))
        await opened.subscribes(base64url(_point(VAPID_SIGNER)))
        yield opened


async def test_a_browser_reads_what_it_was_sent_until_it_leaves(page: Page) -> None:
    outgoing = replace(WEBPUSH.outgoing, recipient=page.token)
    async with account(WEBPUSH, page.url) as provider:
        assert await provider.send(outgoing) == Accepted()
        assert await provider.send(replace(outgoing, content=Rendered(None, "ü" * 1700))) == Accepted()
        first, second = await page.reads()
        assert (first["title"], first["body"], first["action_url"]) == ("Your visit", "Hi Ada: 9:30", LINK)
        assert (second["body"], second["message_id"]) == ("ü" * 1700, MESSAGE_ID)
        await page.leaves()
        assert await provider.send(outgoing) == Rejected("webpush_410", bad_recipient=True)


async def test_a_browser_does_not_take_what_another_signed(page: Page) -> None:
    outgoing = replace(WEBPUSH.outgoing, recipient=page.token)
    other = base64url((7).to_bytes(32, "big"))
    async with account(WEBPUSH, page.url, secrets={"vapid_private_key": other}) as provider:
        assert await provider.send(outgoing) == Rejected("webpush_http_400")
    assert await page.reads() == []


async def expo_says(*script: Said) -> tuple[Any, list[Asked]]:
    """What Expo's own client makes of these answers, and what it asked."""
    needs_packages()
    async with (
        vendor(*script) as server,
        node("expo.mjs", str(PACKAGES), EXPO.token, EXPO_BASE_URL=server.url) as client,
    ):
        return await said_by(client), server.asked


async def test_expos_own_client_asks_for_the_same() -> None:
    taken = Said(200, {"data": [EXPO.taken.members["data"]]})  # type: ignore[index]
    said, [theirs, for_receipts] = await expo_says(taken, Said(200, {"data": {"0190a7f1": {"status": "ok"}}}))
    assert said["isToken"]
    assert said["tickets"] == [EXPO.taken.members["data"]]  # type: ignore[index]
    async with vendor(taken) as server, account(EXPO, server.url) as provider:
        assert await provider.send(EXPO.outgoing) == Accepted(EXPO.reference)
        [ours] = server.asked
    [message] = msgspec.json.decode(theirs.body)
    assert (ours.path, set(ours.json)) == (theirs.path, set(message))
    assert {**ours.json, "data": None} == {**message, "data": None}
    assert ours.headers["authorization"] == theirs.headers["authorization"]
    assert (for_receipts.path, for_receipts.json) == ("/--/api/v2/push/getReceipts", {"ids": ["0190a7f1"]})


async def test_expos_own_client_reads_the_answers_as_we_do() -> None:
    gone = expo_error("DeviceNotRegistered")
    said, _ = await expo_says(Said(200, {"data": [gone]}), Said(200, {"data": {"0190a7f1": gone}}))
    assert said["tickets"][0]["details"]["error"] == "DeviceNotRegistered"
    assert said["receipts"]["0190a7f1"]["details"]["error"] == "DeviceNotRegistered"
