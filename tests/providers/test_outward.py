"""Calls to addresses that strangers named: each connection goes where its name was checked to lead."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from comms.domain.errors import Refused
from comms.domain.outside import is_outside
from comms.providers import outward
from comms.providers.outward import Outward, Said
from tests.providers.vendor_server import Misdeed, vendor
from tests.providers.vendor_server import Said as Answered

pytestmark = pytest.mark.anyio

NAME = "hooks.example.org"


class Names:
    """A resolver that changes its mind: one answer a question, the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def strict() -> AsyncIterator[Outward]:
    made = Outward(lookup=Names(["127.0.0.1"]))
    yield made
    await made.close()


async def post(to: Outward, url: str) -> Said:
    return await to.post(url, b"{}", {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "inside", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:a9fe:a9fe"], ["fe80::1%lo"]]
)
async def test_a_name_that_leads_inside_with_any_of_its_addresses_is_refused(inside: list[str]) -> None:
    to = Outward(lookup=Names(inside))
    with pytest.raises(Refused, match="not public"):
        await to.check(f"https://{NAME}/in")
    assert await post(to, f"https://{NAME}/in") == Said(outcome="address_refused")
    await to.close()


async def test_what_was_checked_is_what_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is resolved once a connection: the second answer, which leads inside, is never asked for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(outward, "is_outside", lambda address: address == "127.0.0.1" or is_outside(address))
    monkeypatch.setattr("comms.domain.outside._PORTS", range(65_536))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(tls)
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    to = Outward(lookup=names)
    async with vendor(Answered(200, {}), tls=tls) as server:
        port = server.url.rpartition(":")[2]
        assert (await post(to, f"https://{NAME}:{port}/in")).is_taken
        assert server.asked[0].headers["host"] == f"{NAME}:{port}"
        assert names.asked == 1
        other = await post(to, f"https://somebody.else:{port}/in")
        assert other == Said(outcome="address_refused")
        assert len(server.asked) == 1
    await to.close()


async def test_the_certificate_must_be_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("somebody.else").configure_cert(tls)
    to = Outward(local=True)
    async with vendor(Answered(200, {}), tls=tls) as server:
        assert await post(to, server.url) == Said(outcome="certificate_refused")
        assert server.asked == []
    await to.close()


@pytest.mark.parametrize(
    "url", ["https://2852039166/", "https://127.1/", "https://[::1]/", "http://8.8.8.8/"]
)
async def test_numbers_that_need_no_name_are_checked_as_well(strict: Outward, url: str) -> None:
    assert await post(strict, url) == Said(outcome="address_refused")


async def test_hexadecimal_is_a_name_to_us_and_a_number_to_the_resolver() -> None:
    to = Outward()
    with pytest.raises(Refused, match=r"not public|does not resolve"):
        await to.check("https://0xA9FEA9FE/")
    await to.close()


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    to = Outward(local=True)
    async with (
        vendor(Answered(200, {})) as other,
        vendor(Answered(308, {}, {"Location": other.url})) as server,
    ):
        said = await post(to, server.url)
        assert (said.status, said.is_taken, said.problem) == (308, False, "answered_308")
        assert other.asked == []
    await to.close()


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    to = Outward(local=True)
    async with vendor(Answered(200, raw=b"x" * 10_000_000)) as server:
        assert (await post(to, server.url)).is_taken
    await to.close()


@pytest.mark.parametrize(
    "misdeed", [Misdeed.HANGS_UP_AT_ONCE, Misdeed.HANGS_UP_AFTER, Misdeed.TALKS_NONSENSE]
)
async def test_whatever_a_receiver_does_a_word_comes_back(misdeed: Misdeed) -> None:
    to = Outward(local=True)
    async with vendor(misdeed) as server:
        assert (await post(to, server.url)) == Said(outcome="connection")
    await to.close()


async def test_a_receiver_that_has_said_yes_has_taken_it() -> None:
    to = Outward(local=True)
    async with vendor(Misdeed.HANGS_UP_IN_THE_ANSWER) as server:
        assert (await post(to, server.url)).is_taken
    await to.close()


async def test_a_receiver_that_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "SECONDS", 0.05)
    to = Outward(local=True)
    async with vendor(Misdeed.NEVER_ANSWERS) as server:
        assert await post(to, server.url) == Said(outcome="timeout")
    await to.close()


async def test_a_name_that_never_resolves_takes_its_seconds_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outward, "_RESOLVE_SECONDS", 0.05)

    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    to = Outward(lookup=never)
    with pytest.raises(Refused, match="does not resolve"):
        await to.check(f"https://{NAME}/")
    assert await post(to, f"https://{NAME}/") == Said(outcome="timeout")
    await to.close()


@pytest.mark.parametrize(("asked", "seconds"), [("7", 7.0), ("999999", 3600.0), ("soon", 0.0), ("-1", 0.0)])
async def test_how_long_a_receiver_asks_to_be_left_alone_is_heard(asked: str, seconds: float) -> None:
    to = Outward(local=True)
    async with vendor(Answered(429, {}, {"Retry-After": asked})) as server:
        assert (await post(to, server.url)).after == seconds
    await to.close()
