"""kill -9: of the service, while it starts and while it works, and of its PostgreSQL alone."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import pytest

from tests.cli.post import Post, post_office
from tests.cli.service import (
    Answer,
    Client,
    Prepared,
    Service,
    by_post,
    in_seconds,
    letter,
    opened,
    serving,
    until,
)
from tests.test_embedded_postgres import family, postmaster

CROWD = 6
ROUNDS = 3
QUICK_LEASE = {"COMMS_LEASE_SECONDS": "3"}
"""What a dead worker held is looked at again within seconds."""


class Crowd:
    """Clients that schedule one message after the other until they are told, or nobody answers."""

    def __init__(self, client: Client, name: str, due: Callable[[], float]) -> None:
        self.asked: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Answer] = {}
        self._client = client
        self._name = name
        self._due = due
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._schedule, args=[n]) for n in range(CROWD)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def await_answers(self, count: int) -> None:
        """Return once so many more have been answered."""
        wanted = len(self.answers) + count

        def answered() -> bool:
            assert any(thread.is_alive() for thread in self._threads), "nobody answers any more"
            return len(self.answers) >= wanted

        until(answered)

    def statuses(self) -> set[int]:
        """The HTTP statuses that were answered."""
        return {answer.status for answer in list(self.answers.values())}

    def ids(self) -> dict[str, str]:
        """The messages that were answered 201, by their key."""
        return {key: answer.body["id"] for key, answer in self.answers.items() if answer.status == 201}

    def _schedule(self, thread: int) -> None:
        number = 0
        while not self._enough.is_set():
            number += 1
            key = f"{self._name}-{thread}-{number}"
            self.asked[key] = letter(key, scheduled_at=in_seconds(self._due()))
            try:
                answer = self.answers[key] = self._client.schedule(self.asked[key])
            except (OSError, HTTPException):
                return  # killed while it was asked: nobody knows
            if answer.status == 503:
                self._enough.wait(0.05)  # polite, though less than Retry-After asks for


class Killed(NamedTuple):
    """What was asked of a service that was killed again and again, and the ids that it answered, by key."""

    folder: Path
    asked: dict[str, dict[str, Any]]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def killed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Every other time its PostgreSQL is killed with it; messages are due all around the moment."""
    chance = random.Random(4711)
    seen = Killed(tmp_path_factory.mktemp("killed"), {}, {})
    for number in range(ROUNDS):
        with (
            prepared.serving(seen.folder, **QUICK_LEASE) as (service, client),
            Crowd(client, f"round {number}", lambda: chance.uniform(-0.2, 0.8)) as crowd,
        ):
            crowd.await_answers(chance.randrange(20, 150))
            servers = the_whole_server(service.data_dir) if number % 2 else []
            service.kill()
            kill(servers)
        assert crowd.statuses() == {201}
        seen.asked.update(crowd.asked)
        seen.ids.update(crowd.ids())
    return seen


@pytest.fixture(scope="module")
def risen(prepared: Prepared, killed: Killed) -> Iterator[Client]:
    """It was started again, and nothing else was done."""
    with prepared.serving(killed.folder, **QUICK_LEASE) as (_, client):
        yield client


def test_after_kill_9_a_repeated_request_finds_its_message(killed: Killed, risen: Client) -> None:
    again = repeated(risen, killed.asked)
    assert {key: again[key].body["id"] for key in killed.ids} == killed.ids
    assert {again[key].headers["Idempotent-Replayed"] for key in killed.ids} == {"true"}


def repeated(client: Client, asked: dict[str, dict[str, Any]]) -> dict[str, Answer]:
    """The same requests once more."""
    with ThreadPoolExecutor(CROWD) as pool:
        again = dict(zip(asked, pool.map(client.schedule, asked.values()), strict=True))
    assert {answer.status for answer in again.values()} == {201}
    return again


def test_killed_at_any_moment_of_its_first_start_it_starts_the_next_time(tmp_path: Path) -> None:
    data = tmp_path / "comms-data"
    for moment in ("master.key", "postgres.new", "postgres/postmaster.pid"):
        starting = Service(tmp_path, "serve", "--port", "0")
        try:
            until((data / moment).exists)
            starting.process.kill()  # it alone, as the kernel does where memory runs out
            starting.process.wait()
        finally:
            starting.end()
    with serving(tmp_path) as service:
        assert opened(service).send(letter("after all")).body["status"] == "sent"


def one_backend(data_dir: Path) -> list[int]:
    """A process that serves a connection: the server ends all others too, and recovers by itself."""
    local = (pid for pid in family(postmaster(data_dir)) if b"[local]" in title(pid))
    return [next(local)]


def only_the_postmaster(data_dir: Path) -> list[int]:
    return [postmaster(data_dir)]


def the_whole_server(data_dir: Path) -> list[int]:
    return family(postmaster(data_dir))


def title(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def hardy(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Client, Post]]:
    """A service whose PostgreSQL is killed; e-mail goes by post."""
    with prepared.serving(tmp_path_factory.mktemp("hardy")) as (service, client), post_office() as post:
        by_post(client, post.port)
        yield service, client, post


@pytest.mark.parametrize("victims", [one_backend, only_the_postmaster, the_whole_server])
def test_while_its_database_is_away_it_says_so_and_then_works_again_by_itself(
    hardy: tuple[Service, Client, Post], victims: Callable[[Path], list[int]]
) -> None:
    service, client, _ = hardy
    with Crowd(client, victims.__name__, lambda: 0.2) as crowd:
        crowd.await_answers(20)
        kill(victims(service.data_dir))
        crowd.await_answers(20)
        until(lambda: client.ask("GET", "/readyz").status == 200)
    assert crowd.statuses() == {201, 503}
    for answer in [answer for answer in crowd.answers.values() if answer.status == 503]:
        assert answer.body["error"] == "temporarily_unavailable"
        assert int(answer.headers["Retry-After"]) > 0
    again = repeated(client, crowd.asked)
    assert {key: again[key].body["id"] for key in crowd.ids()} == crowd.ids()
    handed = Counter(kept["message_id"] for kept in client.outbox())
    assert {handed[answer.body["id"]] for answer in again.values()} <= {0, 1}
    assert client.send(letter(f"after {victims.__name__}")).body["status"] == "sent"


def test_an_answer_that_comes_while_the_database_is_away_is_recorded(
    hardy: tuple[Service, Client, Post],
) -> None:
    service, client, post = hardy
    made = client.schedule(letter("in flight", "email", scheduled_at=in_seconds(0))).body["id"]
    post.await_mails(1)
    kill(the_whole_server(service.data_dir))
    post.let_go()
    until(lambda: client.ask("GET", "/readyz").status == 200)
    until(lambda: client.status(made) == "sent")
    assert post.arrived == 1


def test_after_kill_9_each_message_goes_out_once_or_is_in_doubt(killed: Killed, risen: Client) -> None:
    until(lambda: not any(listed(risen, limit=1, status=status) for status in ("scheduled", "sending")))
    ended = {each["id"]: each["status"] for each in listed(risen, limit=1000)}
    handed = Counter(kept["message_id"] for kept in risen.outbox())
    assert set(ended) >= {*killed.ids.values(), *handed}
    assert set(ended.values()) <= {"sent", "unknown"}
    assert [message_id for message_id, count in handed.items() if count > 1] == []
    assert [each for each, status in ended.items() if status == "sent" and not handed[each]] == []
    unknown = [each for each, status in ended.items() if status == "unknown"]
    assert [each for each in unknown if "attempted" not in risen.events(each)] == []
    assert len(unknown) < len(ended)


def listed(client: Client, **narrowed: Any) -> list[dict[str, Any]]:
    query = urlencode({"brand_id": "loop", **narrowed})
    page: list[dict[str, Any]] = client.ask("GET", f"/v1/messages/scheduled?{query}").body["data"]
    return page
