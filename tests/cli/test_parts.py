"""`comms api`, `worker` and `migrate`: many processes on one database."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from comms.store.migrate import migrations
from tests.cli.post import Post
from tests.cli.service import (
    Client,
    Prepared,
    Service,
    by_post,
    comms,
    in_seconds,
    letter,
    opened,
    printed,
    running,
    sentence,
    until,
)

ALL_APPLIED = "".join(f"applied {each.name}\n" for each in migrations())
KEY, OTHER_KEY = (base64.b64encode(byte * 32).decode() for byte in (b"k", b"o"))


@pytest.fixture(scope="module")
def database_url(postgres: str) -> str:
    """An empty database on a server that is there already, as an operator hands it over."""
    return asyncio.run(_create_database(postgres))


async def _create_database(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    name = f"cli_{uuid4().hex[:8]}"
    await connection.execute(f"create database {name}")
    await connection.close()
    return dsn.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="module")
def named(database_url: str) -> dict[str, str]:
    """The settings of every process on it."""
    return {"COMMS_DATABASE_URL": database_url, "COMMS_MASTER_KEY": KEY}


@pytest.fixture(scope="module")
def api(named: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`comms api`; no worker runs unless a test starts one."""
    with running(tmp_path_factory.mktemp("api"), "api", "--port", "0", **named) as service:
        yield service


@pytest.fixture(scope="module")
def client(api: Service, named: dict[str, str]) -> Client:
    return opened(api, **named)


def test_an_empty_database_is_told_of_by_doctor_and_migrated_once(
    named: dict[str, str], tmp_path: Path
) -> None:
    before = comms(tmp_path, "doctor", **named)
    assert (before.returncode, before.stderr) == (1, "")
    assert f"migrations: {len(migrations())} to apply -> comms migrate applies them" in before.stdout
    assert printed(comms(tmp_path, "migrate", **named)) == ALL_APPLIED
    assert printed(comms(tmp_path, "migrate", **named)) == "nothing to do\n"


def test_migrate_on_an_empty_directory_leaves_one_that_opens(tmp_path: Path) -> None:
    assert printed(comms(tmp_path, "migrate")) == ALL_APPLIED
    assert printed(comms(tmp_path, "token", "list")) == ""


def test_what_the_api_accepted_waits_until_a_worker_runs(
    client: Client, named: dict[str, str], tmp_path: Path
) -> None:
    made = client.schedule(letter("waits", scheduled_at=in_seconds(0))).body["id"]
    answer = client.ask("POST", "/v1/messages/send", letter("asked"), Prefer="wait=0")
    assert answer.body["status"] == "scheduled"
    told = comms(tmp_path, "doctor", **named)
    assert told.returncode == 1
    assert "workers: 0 at work -> nothing goes out: comms serve or comms worker runs one" in told.stdout
    with running(tmp_path, "worker", **named) as worker:
        assert worker.said() == "comms worker runs\n"
        until(lambda: client.status(made) == "sent")
        until(lambda: client.ask("GET", f"/v1/messages/{answer.body['message_id']}").body["status"] == "sent")
        assert client.send(letter("now")).body["status"] == "sent"
        worker.terminate()
        assert worker.status() == 0
    assert len(client.outbox()) == 3


def test_without_a_master_key_a_named_database_is_refused(database_url: str, tmp_path: Path) -> None:
    said = sentence(comms(tmp_path, "worker", COMMS_DATABASE_URL=database_url))
    assert said.startswith("Set COMMS_MASTER_KEY or COMMS_MASTER_KEY_FILE")


def test_with_a_wrong_master_key_it_is_refused(client: Client, database_url: str, tmp_path: Path) -> None:
    assert client.ask("GET", "/readyz").status == 200
    refused = comms(tmp_path, "worker", COMMS_DATABASE_URL=database_url, COMMS_MASTER_KEY=OTHER_KEY)
    assert sentence(refused).startswith("The master key is not the one that this database was sealed with")


def test_an_address_that_is_none_is_refused_and_not_repeated(tmp_path: Path) -> None:
    refused = comms(tmp_path, "migrate", COMMS_DATABASE_URL="postgresql://u:Xylophone@h:port/x")
    assert "Xylophone" not in refused.stderr
    assert sentence(refused)


def test_a_database_that_is_not_there_is_told_of_in_one_sentence(database_url: str, tmp_path: Path) -> None:
    absent = database_url.replace("/cli_", "/not_")
    assert sentence(comms(tmp_path, "migrate", COMMS_DATABASE_URL=absent))


def test_a_worker_beside_serve_shares_its_work(prepared: Prepared, tmp_path: Path, post: Post) -> None:
    one_at_a_time = {"COMMS_WORKER_CONCURRENCY": "1"}
    (elsewhere := tmp_path / "elsewhere").mkdir()
    with prepared.serving(tmp_path, **one_at_a_time) as (service, client):
        by_post(client, post.port)
        words = ["worker", "--data-dir", str(service.data_dir)]
        with running(elsewhere, *words, **one_at_a_time) as worker:
            made = [
                client.schedule(letter(key, "email", scheduled_at=in_seconds(0))).body["id"] for key in "ab"
            ]
            post.await_mails(2)  # at once, though each worker hands over one at a time
            assert "workers: 2 at work" in printed(comms(tmp_path, "doctor"))
            worker.terminate()
            post.let_go()
            assert worker.status() == 0
            until(lambda: {client.status(message_id) for message_id in made} == {"sent"})
        assert list(elsewhere.glob("comms-data")) == []
        assert client.send(letter("alone again", "email")).body["status"] == "sent"
