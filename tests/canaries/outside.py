"""The world outside: vendors that repeat in their errors what they were handed, and who subscribed to events."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.canaries.canary import Nest


class World(ThreadingHTTPServer):
    """`told` is all that subscribers heard, heads and bodies; `calls` counts what vendors were asked."""

    daemon_threads = True

    def __init__(self, nest: Nest, dice: random.Random) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.nest, self.dice = nest, dice
        self.told: list[bytes] = []
        self.calls = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def word_of(self, asked: bytes) -> tuple[int, Any]:
        """What a vendor says: yes, no, not now or nonsense; what is no yes holds all that it was told."""
        self.calls += 1
        echo = f"{self.nest.lay('error text of a vendor')} {asked.decode(errors='replace')}"
        if b"messages" not in asked[:80].lower() and b"/email" in asked[:80]:
            no = (422, {"ErrorCode": 300, "Message": f"Invalid 'To' address: {echo}"})
            yes = (200, {"ErrorCode": 0, "MessageID": f"id-{self.calls}", "Message": "OK"})
        else:
            no = (400, {"code": 21211, "message": f"The 'To' number is not valid: {echo}", "status": 400})
            yes = (201, {"sid": f"SM{self.calls:032x}", "status": "queued"})
        odd = [
            (500, {"error": echo}),
            (429, {"message": echo}),
            (200, echo),
            (401, {"code": 20003, "message": echo}),
        ]
        return self.dice.choice([yes, yes, no, *odd[: 3 if self.calls > 4 else 0]])


class _Talk(BaseHTTPRequestHandler):
    server: World

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/hooks"):
            self.server.told.append(str(self.headers).encode() + body)
            status, said = 204, b""
        else:
            status, answer = self.server.word_of(self.path.encode() + b" " + _readable(body))
            said = json.dumps(answer).encode()
        self.send_response(status, "OK")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _readable(body: bytes) -> bytes:
    """A form's values as they were before they were packed."""
    return " ".join(value for values in parse_qs(body.decode()).values() for value in values).encode() or body


@contextmanager
def world(nest: Nest, dice: random.Random) -> Iterator[World]:
    """From its first call to its last."""
    with World(nest, dice) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
