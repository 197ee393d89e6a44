"""`comms serve`: ready, at work, stopped, refused."""

from __future__ import annotations

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.post import Post
from tests.cli.service import (
    RECIPIENTS,
    Client,
    Prepared,
    Service,
    by_post,
    comms,
    in_seconds,
    letter,
    printed,
    sentence,
    until,
)


def test_it_prints_one_line_with_the_address_when_it_is_ready(service: Service) -> None:
    assert service.said() == f"comms listens on http://{service.address}\n"
    assert Client(service.address, "").ask("GET", "/readyz").status == 200


@pytest.mark.parametrize("channel", RECIPIENTS)
def test_send_wakes_the_worker_and_answers_sent(client: Client, channel: str) -> None:
    answer = client.send(letter(str(uuid4()), channel))
    assert (answer.status, answer.body["status"]) == (200, "sent")
    assert answer.body["provider"] == ("box" if channel == "in_app" else "sand")


def test_what_is_scheduled_goes_out_once_and_not_before_its_time(client: Client) -> None:
    answer = client.schedule(letter(str(uuid4()), scheduled_at=in_seconds(0.3)))
    assert (answer.status, answer.body["status"]) == (201, "scheduled")
    until(lambda: client.status(answer.body["id"]) == "sent")
    (kept,) = [kept for kept in client.outbox() if kept["message_id"] == answer.body["id"]]
    assert datetime.fromisoformat(kept["received_at"]) >= datetime.fromisoformat(answer.body["scheduled_at"])


def test_sigterm_lets_a_request_in_flight_be_answered(prepared: Prepared, tmp_path: Path, post: Post) -> None:
    with prepared.serving(tmp_path) as (service, client), ThreadPoolExecutor(1) as pool:
        by_post(client, post.port)
        sending = pool.submit(client.send, letter("in flight", "email"))
        post.await_mails(1)
        service.terminate()
        until(lambda: client.ask("GET", "/readyz").status == 503)
        post.let_go()
        answer = sending.result()
        assert (answer.status, answer.body["status"], answer.body["provider"]) == (200, "sent", "post")
        assert_it_ended_well(service)
    assert recorded(tmp_path, answer.body["message_id"]) == "sent"


def test_ctrl_c_lets_a_message_in_flight_be_recorded(prepared: Prepared, tmp_path: Path, post: Post) -> None:
    with prepared.serving(tmp_path) as (service, client):
        by_post(client, post.port)
        made = client.schedule(letter("in flight", "email", scheduled_at=in_seconds(0))).body["id"]
        post.await_mails(1)
        service.interrupt()
        until(lambda: client.ask("GET", "/readyz").status == 503)
        refused = client.schedule(letter("too late", "email", scheduled_at=in_seconds(0)))
        assert (refused.status, refused.body["error"]) == (503, "temporarily_unavailable")
        assert refused.headers["Retry-After"] == "1"
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(0.5)  # nobody waits for an answer, and still it stays
        post.let_go()
        assert_it_ended_well(service)
    assert recorded(tmp_path, made) == "sent"


def assert_it_ended_well(service: Service) -> None:
    assert service.status() == 0
    assert service.said().count("\n") == 1
    assert "Traceback" not in service.logged()


def recorded(folder: Path, message_id: str) -> str:
    """The status that the next one finds."""
    shown = json.loads(printed(comms(folder, "message", "get", message_id, "--json")))
    return str(shown["status"])


def test_a_second_one_on_the_same_data_is_told_so(service: Service) -> None:
    said = sentence(comms(service.folder, "serve", "--port", "0"))
    assert said == f"Another comms already runs on {service.data_dir}."


def test_a_port_that_is_taken_costs_nothing_but_a_sentence(service: Service, tmp_path: Path) -> None:
    port = service.address.rpartition(":")[2]
    assert f"port {port}: Address already in use" in sentence(comms(tmp_path, "serve", "--port", port))
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_can_not_be_is_refused(tmp_path: Path) -> None:
    refused = Service(tmp_path, "serve", "--port", "70000")
    try:
        until(lambda: refused.process.poll() is not None or "listens" in refused.said())
        assert refused.said() == ""
        assert refused.status() in {1, 2}
        assert "Traceback" not in refused.logged()
    finally:
        refused.end()


def test_what_is_no_http_is_answered_like_all_that_is_refused(service: Service) -> None:
    host, _, port = service.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall(b"no request\r\n\r\n")
        head, _, body = b"".join(iter(lambda: line.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {
        "error": "bad_request",
        "message": "This is no request in HTTP/1.1; send one.",
    }


def test_the_consoles_address_may_end_in_a_slash(service: Service, client: Client) -> None:
    assert service.said()
    answer = client.ask("GET", "/console/")
    assert (answer.status, answer.headers["Location"]) == (307, "/console")
