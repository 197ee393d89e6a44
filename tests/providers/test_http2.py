"""HTTP/2 against Node's implementation: one connection, many calls, and when a doubt begins."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from comms.providers import http2_connection
from comms.providers.base import Lost, Misconfigured, TryLater
from comms.providers.http import LARGEST_ANSWER, Answer, Http, Request
from tests.providers.peers import Http2Server, http2_server, trust
from tests.providers.smtp_servers import scripted
from tests.providers.vendor_server import Misdeed, Said, vendor

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that the service runs on: it has its own TLS."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    trust(made, tmp_path, monkeypatch)
    return made


@pytest.fixture
async def server(tmp_path: Path, authority: trustme.CA) -> AsyncIterator[Http2Server]:
    async with http2_server(tmp_path, authority) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http() as opened:
        yield opened


def request(url: str, path: str = "/ok", body: bytes = b"{}", line: str = "team") -> Request:
    return Request(url + path, body, {"Authorization": "bearer x", "apns-id": "7"}, http2=line)


async def test_a_call_arrives_as_it_was_made(server: Http2Server, http: Http) -> None:
    answer = await http.post(request(server.url, "/3/device/%C3%A9", '{"a": "é"}'.encode()), 5)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["Apns-Id"], answer.body) == (200, "7", b"")
    asked = await server.was_asked()
    assert asked["body"] == '{"a": "é"}'
    wanted = {":method": "POST", ":scheme": "https", ":authority": f"localhost:{server.port}",
              ":path": "/3/device/%C3%A9", "authorization": "bearer x", "content-length": "11"}  # fmt: skip
    assert wanted.items() <= asked["headers"].items()
    assert asked["sensitive"] == ["authorization"]  # never indexed (RFC 7541, section 7.1.3)


async def test_many_calls_share_one_connection(server: Http2Server, http: Http) -> None:
    answers = await asyncio.gather(*(http.post(request(server.url), 5) for _ in range(50)))
    assert {each.status for each in answers if isinstance(each, Answer)} == {200}
    assert {(await server.was_asked())["session"] for _ in range(50)} == {1}


async def test_another_team_has_its_own(server: Http2Server, http: Http) -> None:
    for line in ("one", "two", "one"):
        await http.post(request(server.url, line=line), 5)
    assert [(await server.was_asked())["session"] for _ in range(3)] == [1, 2, 1]


async def test_no_more_are_under_way_than_the_server_takes(
    tmp_path: Path, authority: trustme.CA, http: Http
) -> None:
    async with http2_server(tmp_path, authority, maxConcurrentStreams=1) as server:
        silent = asyncio.create_task(http.post(request(server.url, "/silent"), 0.5))
        await server.was_asked()
        assert await http.post(request(server.url), 0.1) == TryLater(
            "connection"
        )  # it waited, and was not sent
        assert await silent == Lost("no_answer")
        answer = await http.post(request(server.url), 5)  # the one that was given up makes room
        assert isinstance(answer, Answer)
        assert (await server.was_asked())["session"] == 1


async def test_a_small_window_is_filled_piece_by_piece(
    tmp_path: Path, authority: trustme.CA, http: Http
) -> None:
    async with http2_server(tmp_path, authority, initialWindowSize=100) as server:
        answer = await http.post(request(server.url, body=b"x" * 4096), 5)
        assert isinstance(answer, Answer)
        assert (await server.was_asked())["body"] == "x" * 4096


async def test_an_answer_that_comes_before_the_request_is_sent_counts(
    tmp_path: Path, authority: trustme.CA, http: Http
) -> None:
    async with http2_server(tmp_path, authority, initialWindowSize=100) as server:
        for _ in range(2):
            answer = await http.post(request(server.url, "/early", b"x" * 4096), 5)
            assert isinstance(answer, Answer)
            assert (answer.status, answer.members) == (413, {"reason": "PayloadTooLarge"})


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/refused", TryLater("connection")),
        ("/goes-and-forgets", TryLater("connection")),
        ("/reset", Lost("no_answer")),
        ("/hangs-up", Lost("no_answer")),
    ],
)
async def test_a_doubt_is_what_the_server_may_have_looked_at(
    server: Http2Server, http: Http, path: str, outcome: TryLater | Lost
) -> None:
    await http.post(request(server.url), 5)
    assert await http.post(request(server.url, path), 5) == outcome
    assert isinstance(await http.post(request(server.url), 5), Answer)  # and the next call is well


async def test_a_server_that_goes_away_still_answers_what_it_has_seen(
    server: Http2Server, http: Http
) -> None:
    going = asyncio.create_task(http.post(request(server.url, "/goes-and-answers"), 5))
    await server.was_asked()
    await asyncio.sleep(0.005)  # its word is on the way
    other = await http.post(request(server.url), 5)
    assert isinstance(other, Answer)
    answer = await going
    assert isinstance(answer, Answer)
    assert answer.headers["Apns-Id"] == "late"


async def test_a_server_that_goes_away_while_nothing_is_under_way_costs_nothing(
    server: Http2Server, http: Http
) -> None:
    await http.post(request(server.url), 5)
    await server.told("goaway")
    assert http._http2
    async with asyncio.timeout(5):
        while any(each._takes_more for each in http._http2._all):  # noqa: ASYNC110 - it is on its way
            await asyncio.sleep(0.001)
    assert isinstance(await http.post(request(server.url), 5), Answer)
    assert [(await server.was_asked())["session"] for _ in range(2)] == [1, 2]


async def test_a_connection_that_died_in_its_sleep_is_not_called(
    server: Http2Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(await http.post(request(server.url), 5), Answer)
    monkeypatch.setattr(http2_connection, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(http2_connection, "_PING_SECONDS", 0.1)
    await server.falls_asleep()
    assert await http.post(request(server.url, "/meanwhile"), 0.3) == TryLater("connection")
    server.wakes_up()
    assert isinstance(await http.post(request(server.url), 5), Answer)
    assert [(await server.was_asked())["session"] for _ in range(2)] == [1, 2]


async def test_one_that_is_only_idle_is_used_again(
    server: Http2Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_connection, "_IDLE_SECONDS", 0.0)
    for _ in range(3):
        assert isinstance(await http.post(request(server.url), 5), Answer)
    assert {(await server.was_asked())["session"] for _ in range(3)} == {1}


async def test_before_its_numbers_run_out_a_connection_is_retired(
    server: Http2Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_connection, "_LAST_STREAM", 2)
    for _ in range(4):
        assert isinstance(await http.post(request(server.url), 5), Answer)
    assert [(await server.was_asked())["session"] for _ in range(4)] == [1, 1, 2, 2]


async def test_an_answer_of_any_size_is_read_up_to_the_limit(server: Http2Server, http: Http) -> None:
    answer = await http.post(request(server.url, "/huge"), 5)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.members) == (200, None, {})
    assert LARGEST_ANSWER < 1_000_000
    assert isinstance(await http.post(request(server.url, "/empty"), 5), Answer)


async def test_a_call_that_is_cut_off_leaves_the_others_alone(server: Http2Server, http: Http) -> None:
    task = asyncio.create_task(http.post(request(server.url, "/silent"), 5))
    await server.was_asked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await http.post(request(server.url), 5), Answer)
    assert (await server.was_asked())["session"] == 1


async def test_a_certificate_that_nobody_signed_is_our_set_up(tmp_path: Path, http: Http) -> None:
    async with http2_server(tmp_path, trustme.CA()) as server:
        assert await http.post(request(server.url), 5) == Misconfigured("certificate_refused")


async def test_a_server_that_speaks_no_http2_is_not_called(authority: trustme.CA, http: Http) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with vendor(Said(200, {}), tls=context) as server:
        assert await http.post(request(server.url), 5) == Misconfigured("address_refused")
        assert server.asked == []
    async with vendor(Misdeed.HANGS_UP_AT_ONCE) as server:
        assert await http.post(request(server.url.replace("http:", "https:")), 5) == TryLater("connection")
    assert await http.post(request("https://127.0.0.1:1"), 5) == TryLater("connection")


async def test_what_is_no_http2_after_all_ends_the_connection(authority: trustme.CA, http: Http) -> None:
    """It was agreed on with TLS, and then something else is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    authority.issue_cert("localhost").configure_cert(context)
    for nonsense in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 40_000,
        b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x07",
    ):

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = nonsense
        ) -> None:
            writer.write(said)
            await reader.read(1000)

        async with scripted(talk, tls=context) as port:
            outcome = await http.post(request(f"https://localhost:{port}"), 1)
            assert outcome in (TryLater("connection"), Lost("no_answer"))
