"""Batches over a real connection: who writes everything first, who waits for each verdict, who hangs up."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from tests.cli.service import Client, Prepared, Service, in_seconds, letter, until

MANY = 60_000
MARGIN = 16 * 1024
"""KiB by which the process may grow: a tenth of what its lines would take if they were kept."""

HIDDEN = 64 * 1024
"""Bytes that the client's socket holds at most: what a client does not read stays with the service."""


class Batch:
    """One call on a connection of its own, written and read as the test likes."""

    def __init__(self, connection: socket.socket, client: Client, *headers: str) -> None:
        self.connection = connection
        head = [
            "POST /v1/messages/schedule/batch HTTP/1.1",
            f"Host: {client.address}",
            f"Authorization: Bearer {client.token}",
            "Transfer-Encoding: chunked",
            *headers,
        ]
        self.connection.sendall("\r\n".join([*head, "", ""]).encode())

    def write(self, *lines: bytes) -> None:
        """Send these lines."""
        text = b"".join(lines)
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(text), text))

    def end(self) -> None:
        """Nothing follows."""
        self.connection.sendall(b"0\r\n\r\n")

    def answer(self) -> HTTPResponse:
        """Its head is read; its lines are verdicts."""
        response = HTTPResponse(self.connection)
        response.begin()
        assert response.status == 200
        return response


@contextmanager
def batch(client: Client, *headers: str) -> Iterator[Batch]:
    """A call that has begun."""
    host, port = client.address.split(":")
    with closing(socket.socket()) as connection:
        connection.settimeout(60)
        for which in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            connection.setsockopt(socket.SOL_SOCKET, which, HIDDEN)
        connection.connect((host, int(port)))
        yield Batch(connection, client, *headers)


def line(key: str, **changes: Any) -> bytes:
    body = letter(key, scheduled_at=in_seconds(86_400), **changes)
    return json.dumps(body).encode() + b"\n"


def kept(client: Client, person_id: str) -> int:
    """How many of this person's messages were accepted."""
    asked = f"/v1/messages/scheduled?brand_id=loop&limit=1000&person_id={person_id}"
    return len(client.ask("GET", asked).body["data"])


def peak(service: Service) -> int:
    """KiB that the process took at most so far."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1])


def test_a_client_may_write_everything_before_it_reads_and_memory_stays_flat(
    service: Service, client: Client
) -> None:
    padding = b" " * 500 + b"\n"
    with batch(client) as warm:
        warm.write(*(line(f"warm-{n}") for n in range(2_000)))
        warm.end()
        warm.answer().read()
    before = peak(service)
    with batch(client) as call:
        for first in range(0, MANY, 1000):
            lines = (n for n in range(first, first + 1000))
            call.write(*(line(f"many-{n}") if n % 8 == 0 else b"{}" + padding for n in lines))
        call.end()
        verdicts = [json.loads(each) for each in call.answer()]
    assert [verdict["line"] for verdict in verdicts] == list(range(1, MANY + 1))
    assert {verdict["status"] for verdict in verdicts[::8]} == {201}
    assert {verdict["status"] for number, verdict in enumerate(verdicts) if number % 8} == {422}
    assert peak(service) - before < MARGIN


def test_a_verdict_comes_before_the_next_line_is_written(client: Client) -> None:
    with batch(client) as call:
        call.write(line("step-0"))
        answer = call.answer()
        for number in range(1, 4):
            assert json.loads(answer.readline())["line"] == number
            call.write(line(f"step-{number}"))
        call.end()
        assert json.loads(answer.read())["status"] == 201


def test_a_client_that_asks_whether_to_go_on_is_told_so(client: Client) -> None:
    with batch(client, "Expect: 100-continue") as call:
        assert call.connection.recv(HIDDEN).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        call.write(line("expected"))
        call.end()
        assert json.loads(call.answer().read())["status"] == 201


def test_what_a_client_sent_before_it_hung_up_stays_accepted(client: Client) -> None:
    with batch(client) as call:
        call.write(*(line(f"gone-{n}", person_id="gone") for n in range(500)))
        call.write(line("gone-half", person_id="gone")[:-20])
        answer = call.answer()
        assert all(json.loads(answer.readline())["status"] == 201 for _ in range(500))
    assert kept(client, "gone") == 500
    again = client.schedule(letter("gone-half", scheduled_at=in_seconds(86_400), person_id="gone"))
    assert again.headers["Idempotent-Replayed"] is None


def test_a_service_that_ends_answers_a_batch_to_its_end(prepared: Prepared, tmp_path: Path) -> None:
    with prepared.serving(tmp_path) as (service, client), batch(client) as call:
        call.write(line("before"))
        answer = call.answer()
        assert json.loads(answer.readline())["status"] == 201
        service.terminate()
        until(lambda: not _is_open(client))
        call.write(line("after-1"), line("after-2"))
        call.end()
        verdicts = [json.loads(each) for each in answer]
        assert [verdict["status"] for verdict in verdicts] == [503, 503]
        assert service.status() == 0


def _is_open(client: Client) -> bool:
    host, port = client.address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True
