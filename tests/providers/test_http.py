"""The connections to vendors: encrypted, verified, and clear about when a doubt begins."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from pathlib import Path

import pytest
import trustme

from comms.providers.base import Lost, Misconfigured, TryLater
from comms.providers.http import Answer, Http, Request
from tests.providers.smtp_servers import scripted
from tests.providers.vendor_server import Misdeed, Said, vendor

pytestmark = pytest.mark.anyio


def request(url: str, body: bytes = b"{}") -> Request:
    return Request(f"{url}/v1", body, {"Authorization": "Bearer x"})


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_certificate_of_a_trusted_authority_is_taken(authority: trustme.CA) -> None:
    async with vendor(Said(200, {"id": "1"}), tls=serving(authority, "localhost")) as server, Http() as http:
        assert server.url.startswith("https://")
        answer = await http.post(request(server.url), 5)
        assert isinstance(answer, Answer)
        assert (answer.status, answer.members) == (200, {"id": "1"})


@pytest.mark.parametrize(("trusted", "name"), [(False, "localhost"), (True, "somebody.else")])
async def test_any_other_certificate_is_our_set_up_and_nothing_is_said(
    authority: trustme.CA, *, trusted: bool, name: str
) -> None:
    issuer = authority if trusted else trustme.CA()
    async with vendor(Said(200, {}), tls=serving(issuer, name)) as server, Http() as http:
        assert await http.post(request(server.url), 5) == Misconfigured("certificate_refused")
        assert server.asked == []


async def test_a_server_without_tls_where_tls_is_meant_is_not_called() -> None:
    async with vendor(Misdeed.HANGS_UP_AT_ONCE) as server, Http() as http:
        assert await http.post(request(server.url.replace("http:", "https:")), 5) == TryLater("connection")


async def test_a_handshake_that_never_ends_was_no_call() -> None:
    """Time ran out before a byte of the request was written: certainly not taken."""

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as port, Http() as http:
        assert await http.post(request(f"https://localhost:{port}"), 0.1) == TryLater("connection")


async def test_waiting_for_a_connection_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comms.providers.http._CONNECTIONS_A_HOST", 1)
    async with vendor(Misdeed.NEVER_ANSWERS) as server, Http() as http:
        first = asyncio.create_task(http.post(request(server.url), 0.5))
        await server.was_asked.wait()
        assert await http.post(request(server.url), 0.1) == TryLater("connection")
        assert await first == Lost("no_answer")


async def test_a_request_that_is_not_read_to_its_end_is_a_doubt() -> None:
    async def stops_reading(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)

    async with scripted(stops_reading) as port, Http() as http:
        assert await http.post(request(f"http://127.0.0.1:{port}", b"x" * 8_000_000), 5) == Lost("no_answer")


async def test_a_connection_that_the_vendor_closed_meanwhile_is_not_used_again() -> None:
    async with (
        vendor(Said(200, {"n": 1}, {"Connection": "close"}), Said(200, {"n": 2})) as server,
        Http() as http,
    ):
        for _ in range(2):
            assert isinstance(await http.post(request(server.url), 5), Answer)
        assert server.connections == 2


async def test_a_port_that_is_none_is_our_set_up() -> None:
    async with Http() as http:
        assert await http.post(request("http://localhost:99999"), 5) == Misconfigured("address_refused")


async def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with vendor(Said(200, {})) as server, Http() as http:
        assert isinstance(await http.post(request(server.url), 5), Answer)


async def test_a_packed_answer_is_not_unpacked() -> None:
    """A kilobyte may hold a gigabyte."""
    async with (
        vendor(Said(200, raw=gzip.compress(b'{"id": "1"}'), headers={"Content-Encoding": "gzip"})) as server,
        Http() as http,
    ):
        answer = await http.post(request(server.url), 5)
        assert isinstance(answer, Answer)
        assert answer.members == {}
        assert server.asked[0].headers["accept-encoding"] == "identity"
