"""Events out of the running command: closed, told and signed within seconds of what they tell of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.cli.service import Client, Prepared, letter, until

Told = tuple[dict[str, str], bytes]


@contextmanager
def receiver() -> Iterator[tuple[str, list[Told]]]:
    """An address, and what is told there."""
    told: list[Told] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hooks", told
        server.shutdown()


def test_a_message_that_goes_out_is_told_of(prepared: Prepared, tmp_path: Path) -> None:
    with (
        receiver() as (url, told),
        prepared.serving(tmp_path, COMMS_EVENTS_TO_LOCAL_ADDRESSES="true") as (_, client),
    ):
        asked = {"brand_id": "loop", "url": url, "events": ["message.sent"]}
        made = client.ask("POST", "/v1/subscriptions", asked).body
        message_id = client.send(letter("told-of")).body["message_id"]
        until(lambda: told)
        headers, body = told[0]
        event = Webhook(made["secret"]).verify(body, headers)
        assert (event["type"], event["data"]["message_id"]) == ("message.sent", message_id)


def test_without_the_setting_our_own_network_is_refused(client: Client) -> None:
    for url in ("http://127.0.0.1:8080/", "https://127.0.0.1/", "https://localhost/"):
        answer = client.ask("POST", "/v1/subscriptions", {"brand_id": "loop", "url": url, "events": ["*"]})
        assert (answer.status, answer.body["error"]) == (422, "url_refused")
