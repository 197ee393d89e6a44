"""What Expo is sent, what its tickets mean, and its receipts, which come later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from comms.providers import catalogue, expo_receipts
from comms.providers.base import Lost, Misconfigured, Outcome, Provider, Rejected, TryLater
from comms.providers.events import Event, Happening
from comms.providers.http import Http
from tests.providers.contract import LINK, NOW, outcome_of, tools
from tests.providers.pushes import MESSAGE_ID, asked
from tests.providers.vendor_cases import EXPO, expo_error
from tests.providers.vendor_server import Said, VendorServer, vendor

pytestmark = pytest.mark.anyio


async def test_expo_is_sent_what_its_pages_ask_for() -> None:
    request = await asked(EXPO)
    assert request.path == "/--/api/v2/push/send"
    assert request.headers["authorization"].startswith("Bearer ")
    assert request.json == {
        "to": EXPO.token,
        "title": "Your visit",
        "body": "Hi Ada: 9:30",
        "data": {"message_id": MESSAGE_ID, "action_url": LINK},
        "sound": "default",
        "ttl": 14400,
        "priority": "high",
    }


async def test_expo_takes_a_project_without_an_access_token() -> None:
    async with vendor(EXPO.taken) as server, Http() as http:
        provider = catalogue.build("expo", {"base_url": server.url}, {}, tools(http))
        await provider.send(EXPO.outgoing)
        await provider.close()
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Said(200, {"data": [{"status": "error", "details": {"error": "DeviceNotRegistered"}}]}), Rejected("expo_DeviceNotRegistered", bad_recipient=True)),
        (Said(200, {"data": expo_error("MismatchSenderId")}), Misconfigured("expo_MismatchSenderId")),
        (Said(200, {"data": expo_error("MessageRateExceeded")}), TryLater("expo_MessageRateExceeded")),
        (Said(200, {"data": {"status": "error", "message": "?"}}), Rejected("expo_TICKET_ERROR")),
        (Said(200, {"data": [{"status": "ok", "id": "a"}, {"status": "ok", "id": "b"}]}), Lost("expo_http_200")),
        (Said(400, {"errors": [{"code": "VALIDATION_ERROR"}]}), Rejected("expo_VALIDATION_ERROR")),
        (Said(504, raw=b""), Lost("expo_http_504")),
    ],
)  # fmt: skip
async def test_each_odd_answer_has_its_meaning(answer: Said, outcome: Outcome) -> None:
    assert (await outcome_of(EXPO, answer))[0] == outcome


class Later:
    """An account whose quarters of an hour pass when they are told to."""

    def __init__(self, provider: Provider, server: VendorServer) -> None:
        self.provider = provider
        self.server = server
        self.heard: list[tuple[str, list[Happening]]] = []
        self.fails = 0
        self.slept: list[float] = []
        self._passes = asyncio.Event()
        self._rests = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._rests.set()
        await self._passes.wait()
        self._passes.clear()

    async def hear(self, provider_id: str, happenings: list[Happening]) -> None:
        if self.fails:
            self.fails -= 1
            raise ConnectionError
        self.heard.append((provider_id, happenings))

    async def sends(self, *tickets: str) -> None:
        """The first of them begins the wait; what comes while it lasts is asked for after the next."""
        for ticket in tickets:
            self.server.script = [Said(200, {"data": {"status": "ok", "id": ticket}})]
            await self.provider.send(replace(EXPO.outgoing, key=f"{EXPO.outgoing.message_id}-{ticket}"))
        await asyncio.wait_for(self._rests.wait(), 5)

    async def passes(self, receipts: dict[str, Any] | Said) -> list[str]:
        """A quarter of an hour passes, and the receipts are these; which were asked for."""
        self.server.script = [receipts if isinstance(receipts, Said) else Said(200, {"data": receipts})]
        self._rests.clear()
        self._passes.set()
        receipts_task = self.provider._receipts._asking  # type: ignore[attr-defined]
        rests = asyncio.create_task(self._rests.wait())
        await asyncio.wait([receipts_task, rests], return_when=asyncio.FIRST_COMPLETED, timeout=5)
        rests.cancel()
        last = self.server.asked[-1]
        assert last.path == "/--/api/v2/push/getReceipts"
        asked: Any = last.json["ids"]
        return list(asked)


@asynccontextmanager
async def later() -> AsyncIterator[Later]:
    async with vendor(EXPO.taken) as server, Http() as http:
        told = Later(None, server)  # type: ignore[arg-type]
        held = replace(tools(http), sleep=told.sleep, hear=told.hear)
        told.provider = catalogue.build("expo", {"base_url": server.url}, dict(EXPO.secrets), held)
        yield told
        await told.provider.close()


async def test_a_device_that_has_gone_is_heard_of_a_quarter_of_an_hour_later() -> None:
    async with later() as told:
        await told.sends("a", "b", "c")
        assert told.heard == []
        receipts = {
            "a": {"status": "ok"},
            "b": expo_error("DeviceNotRegistered"),
            "c": expo_error("MessageTooBig"),
        }
        assert [await told.passes(receipts), await told.passes(receipts)] == [["a"], ["b", "c"]]
        assert told.server.asked[-1].headers["authorization"].startswith("Bearer ")
    key = f"{EXPO.outgoing.message_id}-"
    gone = Event(
        "b/receipt",
        "bounced",
        NOW,
        key + "b",
        "b",
        EXPO.token,
        for_good=True,
        reason="expo_DeviceNotRegistered",
    )
    failed = Event("c/receipt", "failed", NOW, key + "c", "c", EXPO.token, reason="expo_MessageTooBig")
    assert told.heard == [("vendor", [gone]), ("vendor", [failed])]
    assert told.slept == [900.0, 900.0]


async def test_a_receipt_that_is_not_there_yet_is_asked_for_again_and_given_up_at_last() -> None:
    async with later() as told:
        await told.sends("a", "b")
        assert await told.passes({"a": {"status": "ok"}}) == ["a"]
        assert await told.passes({"a": {"status": "ok"}}) == ["b"]
        assert await told.passes(Said(503, raw=b"")) == ["b"]
        assert await told.passes(Said(200, raw=b"<html>")) == ["b"]
        assert await told.passes({"b": 7}) == ["b"]
        assert told.provider._receipts._asking.done()  # type: ignore[attr-defined]
        await told.sends("c")  # and one that comes later is asked for as ever
        assert await told.passes({"c": {"status": "ok"}}) == ["c"]


async def test_what_could_not_be_written_down_is_heard_again() -> None:
    async with later() as told:
        await told.sends("0", "a", "b")
        told.fails = 1
        said = {
            "0": {"status": "ok"},
            "a": expo_error("DeviceNotRegistered"),
            "b": expo_error("SomethingNew"),
        }
        assert [await told.passes(said) for _ in range(3)] == [["0"], ["a", "b"], ["a"]]
    assert [(event.reference, event.reason) for _, [event] in told.heard if isinstance(event, Event)] == [
        ("b", "expo_receipt_error"),
        ("a", "expo_DeviceNotRegistered"),
    ]


async def test_a_project_whose_keys_are_wrong_is_told_to_operators() -> None:
    async with later() as told:
        await told.sends("a")
        with capture_logs() as lines:
            await told.passes({"a": expo_error("InvalidCredentials")})
    [line] = [each for each in lines if each["event"] == "provider_misconfigured"]
    assert (line["log_level"], line["reason"], line["provider_id"]) == (
        "error",
        "expo_InvalidCredentials",
        "vendor",
    )


async def test_what_is_outstanding_is_bounded_and_asked_for_in_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expo_receipts, "_MOST", 5)
    monkeypatch.setattr(expo_receipts, "_MOST_A_CALL", 3)
    async with later() as told:
        await told.sends(*"abcdefg")
        for _ in range(2):
            await told.passes({each: {"status": "ok"} for each in "abcdefg"})
        asked: Any = [request.json["ids"] for request in told.server.asked if "ids" in request.json]
        assert asked == [["c"], ["d", "e", "f"], ["g"]]
