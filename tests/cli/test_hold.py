"""A brand is held while its messages are going out, by two workers in two processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from tests.cli.service import Client, Prepared, in_seconds, letter, running, until

MESSAGES = 60


def handed(client: Client) -> list[str]:
    return sorted(kept["message_id"] for kept in client.outbox())


def test_after_the_answer_no_call_starts_and_after_the_release_nothing_is_missing(
    prepared: Prepared, tmp_path: Path
) -> None:
    with (
        prepared.serving(tmp_path) as (service, client),
        running(tmp_path, "worker", "--data-dir", str(service.data_dir)) as second,
    ):
        second.await_words("comms worker runs")
        letters = [letter(str(uuid4()), scheduled_at=in_seconds(0.5 + n / MESSAGES)) for n in range(MESSAGES)]
        made = [client.schedule(each).body["id"] for each in letters]
        all_are_due = datetime.now(UTC) + timedelta(seconds=2)
        until(lambda: len(handed(client)) >= MESSAGES // 4)
        answer = client.ask("POST", "/v1/brands/loop/hold")
        assert (answer.status, "held_at" in answer.body) == (200, True)
        until(lambda: "sending" not in {client.status(each) for each in made})
        before = handed(client)
        assert len(before) < MESSAGES
        until(lambda: datetime.now(UTC) > all_are_due)
        assert handed(client) == before
        assert client.ask("POST", "/v1/brands/loop/release", {"late": "expire"}).status == 200
        until(lambda: {client.status(each) for each in made} == {"sent"})
        assert handed(client) == sorted(made)
