"""Canaries by every way into the system, then a search of all that comes out of it.

    python -m tests.canaries.campaign --count 10000 --seed 4711

Callers, vendors and subscribers plant them, on good days and on bad ones; found anywhere but sealed, one is a leak.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from comms.embedded_postgres import find_binaries, running_dsn
from tests.canaries.canary import NAMED, Nest, found
from tests.canaries.outside import World, world
from tests.canaries.rounds import SECRET, Caller
from tests.cli.service import Client, Service, comms, opened, running, until

CONTROL = "control7bird"
"""Stands in the clear on purpose: whoever does not find it has not looked."""

DEBUG = {
    "COMMS_LOG_LEVEL": "debug",
    "COMMS_EVENTS_TO_LOCAL_ADDRESSES": "true",
    "COMMS_PUBLIC_URL": "https://comms.example",
}


class Searched(NamedTuple):
    """An output, how much of it there was, what leaked into it, and whether the control was there."""

    output: str
    size: int
    leaks: list[bytes]
    control: bool

    def line(self) -> str:
        """As it is printed."""
        leaks = "".join(f"\n    {leak.decode()}" for leak in self.leaks)
        return f"{self.output:<45}{self.size:>15,} bytes{len(self.leaks):>4} found{leaks}"


class Round:
    """One installation in `folder`, from its first canary to the search."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder, self.count, self.dice = folder, count, random.Random(seed)
        self.nest = Nest()
        self.logs: list[Service] = []
        self.answers: list[bytes] = []
        self.callers: list[Caller] = []

    def play(self) -> list[Searched]:
        """Plant, break, plant again, and look."""
        with world(self.nest, self.dice) as outside:
            with self._serving() as service:
                client = opened(service)
                ids = self._set_up(client, outside)
                caller = self._caller(service, client.token, ids)
                caller.as_meant()
                self._plant(caller, self.count // 2)
                self._kill_postgres(service)
                caller.as_not_meant()
                service.kill()
            with self._serving() as service:
                caller = self._caller(service, client.token, ids)
                caller.as_meant()
                self._plant(caller, self.count)
                self._settle(Client(service.address, client.token), outside)
                searched = [*self._of_the_living(service, client.token), *self._of_others(outside)]
                os.kill(service.process.pid, signal.SIGABRT)
                service.process.wait()
        return [*searched, *self._of_the_dead()]

    def line(self, seconds: float) -> str:
        """As it is printed."""
        taken = sum(
            count for caller in self.callers for (_, status), count in caller.answers.items() if status < 400
        )
        told = f"{taken:,} calls taken, {sum(len(each.refused) for each in self.callers) - taken:,} refused"
        return f"{len(self.nest):,} canaries by {len(self.nest.ways)} ways; {told}; {seconds:.0f} s"

    @contextmanager
    def _serving(self) -> Iterator[Service]:
        with running(self.folder, "serve", "--port", "0", **DEBUG) as service:
            self.logs.append(service)
            yield service

    def _caller(self, service: Service, token: str, ids: dict[str, list[str]]) -> Caller:
        self.callers.append(Caller(service.address, token, self.nest, self.dice))
        self.callers[-1].ids = ids
        return self.callers[-1]

    def _set_up(self, client: Client, outside: World) -> dict[str, list[str]]:
        """Vendors beside the sandbox, who subscribes, and the control."""
        secrets: dict[str, Any] = {
            "mail": {"server_token": self.nest.lay("a vendor's secret"), "webhook_secret": SECRET},
            "text": {"auth_token": self.nest.lay("a vendor's secret")},
        }
        sid = {"account_sid": "AC" + 32 * "0", "from": "+15555550100"}
        brand = {
            "name": CONTROL,
            "senders": {"email": {"address": "care@loop.test"}, "sms": {"number": "+15555550100"}},
            "routes": {
                "email": ["mail", "sand"],
                "sms": ["text", "sand"],
                "push": ["sand"],
                "in_app": ["box"],
            },
        }
        made = [
            client.ask("PUT", "/v1/providers/mail", {"kind": "postmark", "settings": {"base_url": outside.url}, "secrets": secrets["mail"]}),
            client.ask("PUT", "/v1/providers/text", {"kind": "twilio", "settings": {**sid, "base_url": outside.url}, "secrets": secrets["text"]}),
            client.ask("PUT", "/v1/brands/loop", brand),
            client.ask("POST", "/v1/subscriptions", {"brand_id": "loop", "url": f"{outside.url}/hooks", "events": ["*"]}),
        ]  # fmt: skip
        assert {answer.status for answer in made} <= {200, 201}, made
        templates = client.ask("GET", "/v1/messaging/templates?brand_id=loop").body["items"]
        return {
            "/v1/messaging": [each["id"] for each in templates],
            "/v1/subscriptions": [made[-1].body["id"]],
        }

    def _plant(self, caller: Caller, until_count: int) -> None:
        while len(self.nest) < until_count:
            caller.as_meant()
            caller.as_not_meant()

    def _kill_postgres(self, service: Service) -> None:
        """It comes back by itself; meanwhile callers go on, and are told so."""
        pid = int((service.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def _settle(self, client: Client, outside: World) -> None:
        """What was due has been tried, and subscribers have heard."""
        until(lambda: any(b"message.accepted" in told for told in outside.told), seconds=20)
        with suppress(AssertionError):  # vendors are away now and then
            until(
                lambda: "comms_oldest_due_seconds 0.0" in str(client.ask("GET", "/metrics").body), seconds=3
            )

    def _of_the_living(self, service: Service, token: str) -> Iterator[Searched]:
        client = Client(service.address, token)
        yield _searched("/metrics", str(client.ask("GET", "/metrics").body).encode(), b"comms_")
        yield _searched(
            "GET /v1/audit", json.dumps(client.ask("GET", "/v1/audit?limit=1000").body).encode(), b"accepted"
        )
        exported = comms(self.folder, "audit", "export", "-", **DEBUG)
        yield _searched("audit export", exported.stdout.encode() + exported.stderr.encode(), b"accepted")
        yield _searched("processes: words and environments", _processes(service.process.pid), b"comms")
        yield _searched("a dump of the database", _dump(service.data_dir), CONTROL.encode())
        limits = Path(f"/proc/{service.process.pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"], "a crash would leave a dump of what is open in memory"

    def _of_others(self, outside: World) -> Iterator[Searched]:
        refused = b"".join(piece for caller in self.callers for piece in caller.refused)
        refused = refused.replace(NAMED.encode(), b"a name")
        yield _searched("refusals, and heads of all answers", refused, b"validation_error")
        yield _searched("events out", b"".join(outside.told), b"message.accepted")

    def _of_the_dead(self) -> Iterator[Searched]:
        for service in self.logs:
            logged = service.logged() + service.said()
            yield _searched("log, crashes and standard output", logged.encode(), b"/v1/messages/schedule")
        rest = self.logs[0].data_dir
        yield _searched(
            "PostgreSQL's directory, its log and its WAL", _files(rest / "postgres"), CONTROL.encode()
        )
        others = [
            path
            for path in self.folder.rglob("*")
            if path.is_file() and (rest / "postgres") not in path.parents
        ]
        yield _searched("all other files", b"".join(path.read_bytes() for path in others), b"")


def _searched(output: str, data: bytes, control: bytes) -> Searched:
    return Searched(output, len(data), list(found(data)), control in data)


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def _processes(first: int) -> bytes:
    """Of the process and of all that came from it: its words, its environment."""
    session, said = os.getsid(first), b""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ProcessLookupError):
            if os.getsid(int(process.name)) == session:
                said += b"".join((process / name).read_bytes() for name in ("cmdline", "environ", "comm"))
    return said


def _dump(data_dir: Path) -> bytes:
    dsn = running_dsn(data_dir)
    assert dsn
    return subprocess.run([find_binaries() / "pg_dump", dsn], capture_output=True, check=True).stdout


def main() -> None:
    """Print what was searched; status 1 where anything was found."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--count", type=int, default=10_000)
    asked.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="comms-canaries-") as folder:
        print(f"seed {given.seed}")  # noqa: T201 - as below
        began, played = time.monotonic(), Round(Path(folder), given.count, given.seed)
        searched = played.play()
    print(played.line(time.monotonic() - began))  # noqa: T201 - a campaign prints what came of it
    for each in searched:
        print(each.line())  # noqa: T201 - as above
    raise SystemExit(any(each.leaks for each in searched))


if __name__ == "__main__":
    main()
