"""`comms token`: made, listed, revoked."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.service import Client, Service, comms, letter, printed, sentence, serving, until

RECENT = "/v1/messages/recent?brand_id=loop"


@pytest.fixture
def name() -> str:
    return f"name-{uuid4().hex[:8]}"


def create(service: Service, *words: str) -> str:
    return printed(comms(service.folder, "token", "create", *words)).strip()


def test_create_prints_the_token_alone_which_may_do_what_its_scopes_say(
    service: Service, client: Client
) -> None:
    made = comms(service.folder, "token", "create", "--brand", "loop", "--scope", "read:messages")
    assert re.fullmatch(r"comms_[A-Za-z0-9_-]{43}\n", printed(made))
    assert made.stderr == ""
    reader = Client(client.address, made.stdout.strip())
    assert reader.ask("GET", RECENT).status == 200
    assert reader.schedule(letter("never", scheduled_at="2030-01-01T00:00:00Z")).status == 403
    assert reader.ask("GET", "/v1/messages/recent?brand_id=other").status == 403


def test_a_revoked_one_is_refused_within_a_second(service: Service, client: Client, name: str) -> None:
    words = ["--brand", "loop", "--scope", "read:messages", "--name", name]
    holder = Client(client.address, create(service, *words))
    assert holder.ask("GET", RECENT).status == 200
    assert printed(comms(service.folder, "token", "revoke", name)) == f"revoked {name}\n"
    answer = until(lambda: refused(holder), seconds=1)
    assert answer == {"error": "invalid_token", "message": answer["message"]}


def refused(holder: Client) -> dict[str, str]:
    answer = holder.ask("GET", RECENT)
    assert answer.status in {200, 401}
    return {} if answer.status == 200 else answer.body


def test_a_persons_token_opens_that_persons_inbox_and_nothing_else(service: Service, client: Client) -> None:
    hers = Client(client.address, create(service, "--brand", "loop", "--person", "ada"))
    assert hers.ask("GET", "/v1/inbox/ada?brand_id=loop").status == 200
    assert hers.ask("GET", "/v1/inbox/bob?brand_id=loop").status == 403
    assert hers.ask("GET", RECENT).status == 403


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--brand", "loop", "--scope", "write:nothing"], "There is no such scope; there are write:messages"),
        (["--brand", "not there", "--person", "ada"], "There is no brand with this brand_id"),
        (["--brand", "loop", "--scope", "read:messages", "--expires", "9999999d"], "expires"),
    ],
)
def test_what_can_not_be_made_is_told_in_one_sentence(
    client: Client, service: Service, words: list[str], said: str
) -> None:
    assert client.ask("GET", RECENT).status == 200
    assert said in sentence(comms(service.folder, "token", "create", *words))


def test_list_shows_names_and_never_tokens_and_a_name_is_for_one_that_lives(
    service: Service, name: str
) -> None:
    words = ["--brand", "loop", "--scope", "read:messages", "--name", name, "--expires", "1d"]
    create(service, *words)
    listed = printed(comms(service.folder, "token", "list"))
    assert [line for line in listed.splitlines() if line.startswith(f"{name}  loop  read:messages  live")]
    assert "comms_" not in listed
    assert sentence(comms(service.folder, "token", "create", *words)).startswith("Another live token has")


def test_one_that_was_made_before_the_service_ran_is_good(tmp_path: Path) -> None:
    words = ["token", "create", "--brand", "*", "--scope", "admin:comms", "--data-dir", "here"]
    made = comms(tmp_path, *words)
    key = tmp_path / "here" / "master.key"
    assert key.stat().st_mode & 0o777 == 0o600
    with serving(tmp_path, COMMS_DATA_DIR="here") as service:
        answer = Client(service.address, printed(made).strip()).ask("GET", "/v1/brands/loop")
        assert (answer.status, answer.body["error"]) == (404, "not_found")


def test_a_brand_that_is_not_there_is_refused_unless_the_token_may_make_it(service: Service) -> None:
    words = ["token", "create", "--brand", "lop", "--scope"]
    said = sentence(comms(service.folder, *words, "write:messages"))
    assert said == "There is no brand with this brand_id; make it first."
    assert printed(comms(service.folder, *words, "manage:brands")).startswith("comms_")
