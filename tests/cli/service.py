"""The real command in processes of its own, and a client that talks to it over HTTP.

A folder is a working directory: unless told otherwise the command keeps its data in `comms-data` there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

COMMAND = Path(sys.executable).with_name("comms")
ROUTES = {"email": ["sand"], "sms": ["sand"], "push": ["sand"], "in_app": ["box"]}
BRAND = {
    "name": "Loop",
    "senders": {"email": {"address": "care@loop.test"}, "sms": {"number": "+15555550100"}},
    "routes": ROUTES,
}
RECIPIENTS = {"email": "ada@example.org", "sms": "+15555550123", "push": "token-1", "in_app": "ada"}

_LISTENS = "comms listens on "
_PATIENCE = 30.0

Found = TypeVar("Found")


def until(look: Callable[[], Found], seconds: float = _PATIENCE) -> Found:
    """What `look` answers once it is something; the last look is taken when the time is over."""
    ends = time.monotonic() + seconds
    while True:
        over = time.monotonic() > ends
        if found := look():
            return found
        assert not over, "it did not happen in time"
        time.sleep(0.01)


def comms(folder: Path, *words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`; `given` is its standard input."""
    return subprocess.run(
        [COMMAND, *words],
        cwd=folder,
        env=_environment(variables),
        input=given,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )


def printed(ended: subprocess.CompletedProcess[str]) -> str:
    """What a command that went well printed."""
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def sentence(ended: subprocess.CompletedProcess[str]) -> str:
    """What a refused command said: one line on standard error, nothing else, status 1."""
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("comms: ")
    return line.removeprefix("comms: ")


class Service:
    """A command that runs until it is told to stop, in a process group of its own."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self.folder = folder
        name = f"{words[0]}-{uuid4().hex[:6]}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [COMMAND, *words],
                cwd=folder,
                env=_environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def data_dir(self) -> Path:
        return self.folder / "comms-data"

    @property
    def address(self) -> str:
        """Host and port, off the line that says that it is ready."""
        line = next(line for line in self.said().splitlines() if line.startswith(_LISTENS))
        return line.removeprefix(f"{_LISTENS}http://")

    def said(self) -> str:
        """Standard output so far."""
        return self._out.read_text()

    def logged(self) -> str:
        """Standard error so far."""
        return self._err.read_text()

    def await_words(self, words: str) -> None:
        """Return once it has said them."""

        def said() -> bool:
            assert self.process.poll() is None or words in self.said(), self.logged()
            return words in self.said()

        until(said)

    def interrupt(self) -> None:
        """Ctrl-C reaches the whole group, as from a terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM, as a supervisor sends it."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL for the whole group; returns when it is gone."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def status(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(_PATIENCE)

    def end(self) -> None:
        """Leave nothing behind, at once: a test of how it stops stops it. Its PostgreSQL goes with it."""
        if self.process.poll() is None:
            self.kill()


@contextmanager
def running(folder: Path, *words: str, **variables: str) -> Iterator[Service]:
    """A service from its ready line to its end."""
    service = Service(folder, *words, **variables)
    try:
        service.await_words("comms worker runs\n" if words[0] == "worker" else _LISTENS)
        yield service
    finally:
        service.end()


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Service]:
    """`comms serve` on a free port."""
    with running(folder, "serve", "--port", "0", **variables) as service:
        yield service


class Prepared(NamedTuple):
    """Data on which the brand `loop` is set up, kept to be copied; and the token that may do everything."""

    data_dir: Path
    token: str

    def put_into(self, folder: Path) -> None:
        """Copy it, unless a copy is there."""
        if not (folder / self.data_dir.name).exists():
            shutil.copytree(self.data_dir, folder / self.data_dir.name)

    @contextmanager
    def serving(self, folder: Path, **variables: str) -> Iterator[tuple[Service, Client]]:
        """`comms serve` on the copy in `folder`."""
        self.put_into(folder)
        with serving(folder, **variables) as service:
            yield service, Client(service.address, self.token)


class Answer(NamedTuple):
    """Status, headers (of any case) and decoded body."""

    status: int
    headers: Message
    body: Any


class Client:
    """Talks to a service; many threads may share one."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.token = token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own. `body` is sent as JSON, or as it is where it is bytes."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        with closing(HTTPConnection(self.address, timeout=_PATIENCE)) as connection:
            connection.request(method, path, sent, {"Authorization": f"Bearer {self.token}", **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, _decoded(answer.read()))

    def schedule(self, body: dict[str, Any]) -> Answer:
        """Schedule a message."""
        return self.ask("POST", "/v1/messages/schedule", body)

    def send(self, body: dict[str, Any]) -> Answer:
        """Send a message now."""
        return self.ask("POST", "/v1/messages/send", body)

    def show(self, message_id: str) -> dict[str, Any]:
        """A message as it stands."""
        shown: dict[str, Any] = self.ask("GET", f"/v1/messages/scheduled/{message_id}").body
        return shown

    def status(self, message_id: str) -> str:
        """A message's status."""
        return str(self.show(message_id)["status"])

    def events(self, message_id: str) -> list[str]:
        """What happened to a message."""
        answer = self.ask("GET", f"/v1/messages/{message_id}/timeline")
        return [entry["event"] for entry in answer.body["data"]]

    def outbox(self) -> list[dict[str, Any]]:
        """What the sandbox was handed."""
        answer = self.ask("GET", "/v1/sandbox/outbox?brand_id=loop&limit=1000")
        kept: list[dict[str, Any]] = answer.body["data"]
        return kept


def opened(service: Service, **variables: str) -> Client:
    """A client that may do everything, on a brand `loop` with a sandbox a channel and a template each."""
    words = ["token", "create", "--brand", "*", "--scope", "admin:comms"]
    client = Client(service.address, printed(comms(service.folder, *words, **variables)).strip())
    made = [
        client.ask("PUT", "/v1/providers/sand", {"kind": "sandbox"}),
        client.ask("PUT", "/v1/providers/box", {"kind": "inbox"}),
        client.ask("PUT", "/v1/brands/loop", BRAND),
        *(_template(client, channel) for channel in RECIPIENTS),
    ]
    assert {answer.status for answer in made} <= {200, 201}, made
    return client


def by_post(client: Client, port: int) -> None:
    """E-mail goes to the mail server at this port from now on."""
    settings = {"host": "127.0.0.1", "port": port, "tls": "none"}
    made = [
        client.ask("PUT", "/v1/providers/post", {"kind": "smtp", "settings": settings}),
        client.ask("PUT", "/v1/brands/loop", {**BRAND, "routes": {**ROUTES, "email": ["post"]}}),
    ]
    assert {answer.status for answer in made} == {200}, made


def _template(client: Client, channel: str) -> Answer:
    template = {"brand_id": "loop", "key": "visit", "channel": channel}
    made = client.ask("POST", "/v1/messaging/templates", template).body
    version = {"subject": "Your visit", "body": "Hi {{ name }}"}
    return client.ask("POST", f"/v1/messaging/templates/{made['id']}/versions", version)


def letter(key: str, channel: str = "sms", **changes: Any) -> dict[str, Any]:
    """A body for `send`; with `scheduled_at` one for `schedule`."""
    return {
        "channel": channel,
        "template_key": "visit",
        "recipient": RECIPIENTS[channel],
        "brand_id": "loop",
        "person_id": "p1",
        "variables": {"name": "Ada"},
        "dedup_key": key,
        **changes,
    }


def in_seconds(seconds: float) -> str:
    """The instant so far from now, as `scheduled_at` takes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _decoded(body: bytes) -> Any:
    """JSON, or text where it is none: no test of ours asks for that, so some assertion will show it."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """This process's own, with these settings of comms and no other."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMMS_")}
    return kept | variables
