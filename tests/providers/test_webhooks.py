"""Providers' calls to us, where a signature can't be checked without a document of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from comms.providers.events import Confirmation, Forged, Happening, Incoming, Unavailable, Wanted
from comms.providers.http import LARGEST_ANSWER, Http
from comms.providers.webhooks import Webhooks
from tests.providers.vendor_server import Misdeed, Said, VendorServer, vendor

pytestmark = pytest.mark.anyio

INCOMING = Incoming("https://comms.example/v1/webhooks/p", {}, b"", datetime(2030, 1, 1, tzinfo=UTC))
CERTIFICATE = Said(200, raw=b"good")


def read(url: str, _secrets: Mapping[str, str], incoming: Incoming) -> list[Happening]:
    """A parser whose settings are the address that it wants."""
    if url not in incoming.documents:
        raise Wanted(url)
    if incoming.documents[url] != b"good":
        raise Forged
    return [Confirmation(url)]


async def heard(server: VendorServer, *urls: str) -> list[Any]:
    """What becomes of a call for each address, in one process."""
    async with Http() as http:
        webhooks = Webhooks(http)
        outcomes: list[Any] = []
        for url in urls:
            try:
                outcomes.append(await webhooks.read(read, server.url + url, {}, INCOMING))
            except (Forged, Unavailable) as error:
                outcomes.append(type(error))
        return outcomes


async def test_what_is_wanted_is_read_once() -> None:
    async with vendor(CERTIFICATE) as server:
        first, second = await heard(server, "/a.pem", "/a.pem")
    assert first == second == [Confirmation(f"{server.url}/a.pem")]
    assert [asked.line for asked in server.asked] == ["GET /a.pem HTTP/1.1"]


async def test_what_verified_nothing_is_not_kept() -> None:
    async with vendor(Said(200, raw=b"bad"), CERTIFICATE) as server:
        assert await heard(server, "/a.pem", "/a.pem") == [Forged, [Confirmation(f"{server.url}/a.pem")]]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Said(404, raw=b"good"),
        Said(301, raw=b"good", headers={"Location": "/good.pem"}),
        Said(500, raw=b"good"),
        Misdeed.HANGS_UP_AFTER,
        Misdeed.NEVER_ANSWERS,
    ],
)
async def test_what_can_not_be_read_now_is_asked_for_at_the_next_call(
    answer: Said | Misdeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comms.providers.webhooks._SECONDS", 0.2)
    async with vendor(answer) as server:
        assert await heard(server, "/a.pem") == [Unavailable]
        server.script = [CERTIFICATE]
        assert await heard(server, "/a.pem") == [[Confirmation(f"{server.url}/a.pem")]]


async def test_a_huge_document_is_not_read_to_its_end() -> None:
    async with vendor(Said(200, raw=b"x" * 50 * LARGEST_ANSWER)) as server:
        assert await heard(server, "/a.pem") == [Unavailable]


async def test_only_so_many_are_kept() -> None:
    async with vendor(CERTIFICATE) as server:
        await heard(server, *(f"/{n}.pem" for n in range(17)), "/16.pem", "/0.pem")
    assert len(server.asked) == 18


async def test_a_parser_that_is_never_content_is_not_asked_for_ever() -> None:
    def insatiable(_settings: Any, _secrets: Mapping[str, str], incoming: Incoming) -> list[Happening]:
        raise Wanted(f"{server.url}/{len(incoming.documents)}.pem")

    async with vendor(CERTIFICATE) as server, Http() as http:
        with pytest.raises(Forged):
            await Webhooks(http).read(insatiable, None, {}, INCOMING)
    assert len(server.asked) == 1
