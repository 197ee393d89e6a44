"""S5, S26: bytes that no client of ours would send, to the command as it runs."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from comms.http.protocol import Protocol
from tests.cli.service import Client, Service
from tests.http.bad_inputs import GOOD

_PATIENCE = 20.0

SMUGGLED = {
    "both lengths": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n",
    "two lengths": "Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}{}{}",
    "a list of lengths": "Content-Length: 4, 5\r\n\r\n{}{}{}",
    "a signed length": "Content-Length: +2\r\n\r\n{}",
    "a negative length": "Content-Length: -2\r\n\r\n{}",
    "a hexadecimal length": "Content-Length: 0x2\r\n\r\n{}",
    "another coding": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding twice": "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
    "a folded header": "X-One: a\r\n b: c\r\nContent-Length: 2\r\n\r\n{}",
    "a space before the colon": "Content-Length : 2\r\n\r\n{}",
    "a bare line feed in a chunk": "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "a chunk of no size": "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk too large": "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a NUL in a header": "X-One: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "a bare carriage return": "X-One: a\rX-Two: b\r\nContent-Length: 2\r\n\r\n{}",
}


@contextmanager
def connected(client: Client) -> Iterator[socket.socket]:
    host, _, port = client.address.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=_PATIENCE)) as connection:
        yield connection


def head(client: Client, more: str) -> bytes:
    return (
        f"POST /v1/messages/schedule HTTP/1.1\r\nHost: {client.address}\r\n"
        f"Authorization: Bearer {client.token}\r\nContent-Type: application/json\r\n{more}"
    ).encode("latin-1")


def answered(connection: socket.socket) -> bytes:
    """All that comes until the service hangs up, or has nothing more to say."""
    said = b""
    connection.settimeout(1)
    try:
        while piece := connection.recv(65_536):
            said += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return said


def is_hung_up_on(connection: socket.socket) -> bool:
    connection.settimeout(5)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def memory(service: Service) -> int:
    """Bytes of the process that serves."""
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_request_of_two_lengths_is_none(far_client: Client, rest: str) -> None:
    with connected(far_client) as connection:
        connection.sendall(head(far_client, rest))
        said = answered(connection)
    assert said.startswith(b"HTTP/1.1 400 "), said[:80]
    assert said.count(b"HTTP/1.1 ") == 1, "what followed was taken for another request"
    assert far_client.token.encode() not in said


def test_a_body_without_end_is_not_kept(far_client: Client, service: Service) -> None:
    before, chunk = memory(service), b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with connected(far_client) as connection:
        connection.sendall(head(far_client, "Transfer-Encoding: chunked\r\n\r\n"))
        for _ in range(1600):  # a hundred mebibytes: read, so that the answer arrives, and dropped
            connection.sendall(chunk)
        said = answered(connection)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert memory(service) - before < 50 * 2**20


def test_a_packed_bomb_is_not_unpacked(far_client: Client, service: Service) -> None:
    before, bomb = memory(service), gzip.compress(b" " * 100 * 2**20)
    answer = far_client.ask("POST", "/v1/messages/schedule", bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status, answer.body["error"]) == (422, "validation_error")
    assert memory(service) - before < 50 * 2**20


def test_whatever_is_too_much_is_refused_at_once(far_client: Client) -> None:
    bodies = [
        b"[" * 200_000,
        b'{"a":' * 40_000,
        json.dumps({str(number): 1 for number in range(20_000)}).encode(),
        b'{"a": ' + b"9" * 200_000 + b"}",
        b'{"a": 1e' + b"9" * 200_000 + b"}",
        json.dumps({**GOOD, "recipient": "x" * 200_000}).encode(),
    ]
    for body in bodies:
        began = time.monotonic()
        answer = far_client.ask("POST", "/v1/messages/schedule", body)
        assert (answer.status, time.monotonic() - began < 1) == (422, True), body[:20]


@pytest.mark.parametrize(
    "rest",
    [
        "X-Long: " + "x" * 3_000_000,
        "".join(f"X-{number}: x\r\n" for number in range(200_000)),
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + "x" * 3_000_000,
        "Transfer-Encoding: chunked\r\n\r\n1;x=" + "x" * 3_000_000,
    ],
    ids=["a header", "headers", "a trailer", "an extension of a chunk"],
)
def test_what_never_ends_is_not_kept(far_client: Client, rest: str) -> None:
    with connected(far_client) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head(far_client, rest))
        assert is_hung_up_on(connection)


@pytest.mark.anyio
async def test_who_never_says_what_they_want_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines on which nothing comes, and heads that never end, are closed; who is being served is not."""
    monkeypatch.setattr(Protocol, "head_seconds", 0.2)
    asked = asyncio.Event()

    async def slow(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asked.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(slow, http=Protocol, lifespan="off", log_config=None))
    monkeypatch.setattr(server, "capture_signals", nullcontext)
    serving = asyncio.create_task(server.serve([listener]))
    open_line = partial(asyncio.open_connection, "127.0.0.1", listener.getsockname()[1])
    lines = [await open_line() for _ in range(50)]
    served, writer = await open_line()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for _, out in lines[::2]:
        out.write(b"GET / HTTP/1.1\r\nX-Slow: ")
    async with asyncio.timeout(5):
        assert [await into.read() for into, _ in lines] == [b""] * 50
    asked.set()
    assert b" 200 OK" in await served.readline()
    for out in (writer, *(out for _, out in lines)):
        out.close()
    server.should_exit = True
    await serving
