"""At the most talkative level the log still names ids and counts, never a value."""

from __future__ import annotations

import json
import socket
from uuid import uuid4

import pytest

from tests.cli.service import RECIPIENTS, Client, Prepared, Service, comms, in_seconds, letter

CANARY = "Xylophone"
NUMBER = "+15555557391"
TALKATIVE = {"COMMS_LOG_LEVEL": "debug"}


def private(channel: str = "sms", **changes: object) -> dict[str, object]:
    """A message that is canary wherever a person is spoken of."""
    marked = {"email": f"{CANARY}@example.org", "sms": NUMBER, "push": f"{CANARY}-1", "in_app": CANARY}
    person = {"recipient": marked[channel], "person_id": f"{CANARY}-p", "variables": {"name": f"{CANARY}-v"}}
    return letter(f"{CANARY}-{uuid4()}", channel, **(person | changes))


def good_and_refused(client: Client) -> None:
    """A normal journey, and requests that are refused on their way."""
    for channel in RECIPIENTS:
        assert client.send(private(channel)).body["status"] == "sent"
    body = private(scheduled_at=in_seconds(600))
    made = client.schedule(body)
    client.schedule(body)
    client.ask("POST", f"/v1/messages/scheduled/{made.body['id']}/cancel")
    tricks = [client.send(private(recipient=number)) for number in ("+15555550001", "+15555550004")]
    assert [answer.body["status"] for answer in tricks] == ["failed", "unknown"]
    refused = [
        client.schedule({**body, "variables": {"name": CANARY}}),
        client.schedule(private(recipient=CANARY, scheduled_at=in_seconds(600))),
        client.schedule(private(scheduled_at=CANARY)),
        client.schedule(private(variables={CANARY: CANARY}, scheduled_at=in_seconds(600))),
        client.schedule(private(**{CANARY: CANARY})),
        client.ask("POST", "/v1/messages/schedule", f'{{"{CANARY}": '.encode()),
        client.ask("POST", "/v1/messages/schedule", b"\xff" + CANARY.encode()),
        client.ask("GET", f"/v1/messages/scheduled?brand_id={CANARY}&{CANARY}={CANARY}"),
        client.ask("GET", f"/v1/inbox/{CANARY}?brand_id={CANARY}"),
        client.ask("GET", f"/{CANARY}/{CANARY}"),
        client.ask("DELETE", f"/v1/brands/{CANARY}"),
        Client(client.address, f"comms_{CANARY}").ask("GET", "/v1/brands/loop"),
        client.ask("PUT", "/v1/providers/x", {"kind": "smtp", "secrets": {"password": CANARY}}),
    ]
    assert {answer.status for answer in refused} <= {401, 404, 405, 422}


def not_http(client: Client) -> None:
    host, _, port = client.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"{CANARY} {CANARY}\r\n\r\n".encode())
        while connection.recv(1024):
            pass


@pytest.fixture(scope="module")
def talkative(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Service, str]:
    """A service that has seen good and bad days, and has ended; and the token that it was talked to with."""
    folder = tmp_path_factory.mktemp("talkative")
    with prepared.serving(folder, **TALKATIVE) as (service, client):
        good_and_refused(client)
        not_http(client)
        (folder / "body.json").write_text(json.dumps(private(scheduled_at=in_seconds(600))))
        made = comms(folder, "message", "schedule", "body.json", **TALKATIVE)
        assert made.returncode == 0
        assert spoken(made.stderr, client.token) == []
        service.terminate()
        assert service.status() == 0
    return service, client.token


def test_nothing_private_is_logged(talkative: tuple[Service, str]) -> None:
    service, token = talkative
    logged = service.logged()
    assert "/v1/messages/schedule" in logged
    assert spoken(logged, token) == []


def test_every_line_of_the_log_is_json(talkative: tuple[Service, str]) -> None:
    lines = talkative[0].logged().splitlines()
    assert [line for line in lines if not {"event", "level", "timestamp"} <= set(json.loads(line))] == []


def test_nothing_private_is_in_any_readable_file(talkative: tuple[Service, str]) -> None:
    service, token = talkative
    files = [path for path in service.data_dir.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if spoken(path.read_bytes().decode(errors="ignore"), token)] == []


def spoken(text: str, token: str) -> list[str]:
    """What of the private is in a text."""
    return [word for word in (CANARY, NUMBER.removeprefix("+"), token) if word in text]
