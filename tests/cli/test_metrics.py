"""What a process shows of itself: `comms serve` at its address, a worker alone at a port of its own."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from tests.cli.post import Post
from tests.cli.service import (
    Client,
    Prepared,
    Service,
    by_post,
    comms,
    in_seconds,
    letter,
    running,
    sentence,
    until,
)


def test_serve_counts_the_work_of_all_its_parts(service: Service, client: Client) -> None:
    assert client.send(letter("counted")).body["status"] == "sent"
    said = text(service.address)
    assert figure(said, r"comms_accepted_total\{.*channel=\"sms\",kind=\"send\".*\}") >= 1
    assert figure(said, r"comms_attempts_total\{outcome=\"accepted\",provider=\"sand\"\}") >= 1
    assert figure(said, r"comms_ended_total\{event=\"sent\"\}") >= 1
    assert figure(said, "process_resident_memory_bytes") > 0


def test_a_worker_alone_is_seen_until_it_has_drained(prepared: Prepared, tmp_path: Path, post: Post) -> None:
    one_at_a_time = {"COMMS_WORKER_CONCURRENCY": "1"}
    with prepared.serving(tmp_path, **one_at_a_time) as (service, client):
        by_post(client, post.port)
        words = ["worker", "--metrics-port", "0", "--data-dir", str(service.data_dir)]
        with running(tmp_path, *words, **one_at_a_time) as worker:
            address = shown_at(worker)
            assert Client(address, "").ask("GET", "/healthz").status == 200
            made = [
                client.schedule(letter(key, "email", scheduled_at=in_seconds(0))).body["id"] for key in "ab"
            ]
            post.await_mails(2)  # the service hands over one at a time, so one of them is the worker's
            worker.terminate()
            said = text(address)
            assert figure(said, "comms_in_flight") == figure(said, "comms_claimed_total") == 1
            post.let_go()
            assert worker.status() == 0
            until(lambda: {client.status(message_id) for message_id in made} == {"sent"})


def test_a_worker_shows_nothing_unless_it_is_told_where(prepared: Prepared, tmp_path: Path) -> None:
    with prepared.serving(tmp_path) as (service, _):
        with running(tmp_path, "worker", "--data-dir", str(service.data_dir)) as worker:
            assert worker.said() == "comms worker runs\n"
        port = service.address.rpartition(":")[2]
        words = ["worker", "--data-dir", str(service.data_dir)]
        said = sentence(comms(tmp_path, *words, COMMS_METRICS_PORT=port))
        assert said.startswith(f"127.0.0.1, port {port}: Address already in use")


def test_a_worker_is_seen_from_its_own_machine_alone(prepared: Prepared, tmp_path: Path) -> None:
    with prepared.serving(tmp_path) as (service, _):
        words = ["worker", "--data-dir", str(service.data_dir)]
        with running(tmp_path, *words, COMMS_METRICS_PORT="0", COMMS_HOST="0.0.0.0") as worker:
            host, _, port = shown_at(worker).partition(":")
            assert host == "127.0.0.1"
            with socket.create_server(("127.0.0.2", int(port))):  # free: it is not taken on every address
                pass


def shown_at(worker: Service) -> str:
    """Host and port, off the line that says so."""
    found = re.search(r"^comms shows its metrics on http://(.+)/metrics$", worker.said(), re.MULTILINE)
    assert found
    return found[1]


def text(address: str) -> str:
    """The metrics, asked for without a token."""
    answer = Client(address, "").ask("GET", "/metrics")
    assert answer.status == 200
    return str(answer.body)


def figure(said: str, series: str) -> float:
    """The value of the one series that a pattern fits."""
    (value,) = re.findall(rf"^{series} (\S+)$", said, re.MULTILINE)
    return float(value)
