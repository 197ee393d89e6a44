"""The real server: stopped, killed, promoted, and put back as it was an hour ago."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.service import Client, Prepared, Service, comms, in_seconds, letter, printed, until
from tests.test_embedded_postgres import family, kill_all, postmaster

LEASE = {"COMMS_LEASE_SECONDS": "3"}


def promote(data_dir: Path) -> None:
    """At its next start it replays what there is and begins another timeline, as a standby that is promoted."""
    (data_dir / "postgres" / "recovery.signal").touch()
    with (data_dir / "postgres" / "postgresql.auto.conf").open("a") as conf:
        conf.write("restore_command = 'false'\nhot_standby = off\n")


def sent(client: Client, key: str) -> bool:
    answer = client.ask("POST", "/v1/messages/scheduled/search", {"brand_id": "loop", "dedup_key": key})
    return [each["status"] for each in answer.body["data"]] == ["sent"]


def stop(service: Service) -> None:
    service.terminate()
    assert service.status() == 0


def test_what_lacks_nothing_goes_on_and_what_was_put_back_waits_for_an_operator(
    prepared: Prepared, tmp_path: Path
) -> None:
    data_dir, copy = tmp_path / "comms-data", tmp_path / "copy"
    with prepared.serving(tmp_path, **LEASE) as (service, client):
        made = client.schedule(letter("waits", scheduled_at=in_seconds(4))).body["id"]
        stop(service)
    shutil.copytree(data_dir / "postgres", copy)
    promote(data_dir)
    with prepared.serving(tmp_path, **LEASE) as (service, client):  # a clean restart, and a fail-over
        until(lambda: client.status(made) == "sent")
        assert "history_vouched_for" in service.logged()
        kill_all(family(postmaster(data_dir)))
        until(lambda: client.send(letter("after the crash")).status != 503)
        until(lambda: sent(client, "after the crash"))
        stop(service)
    shutil.rmtree(data_dir / "postgres")
    copy.rename(data_dir / "postgres")
    with prepared.serving(tmp_path, **LEASE) as (service, client):  # a restore
        ready = client.ask("GET", "/readyz")
        until(lambda: "lacks commits" in client.ask("GET", "/readyz").body.get("paused", ""))
        assert ready.status == 200
        waits = client.schedule(letter("new", scheduled_at=in_seconds(0)))
        assert waits.status == 201
        assert "sms, visit: 1 may have been sent; some would be sent twice: --safe gives them up" in printed(
            comms(tmp_path, "resume")
        )
        assert (client.status(made), client.status(waits.body["id"])) == ("scheduled", "scheduled")
        assert client.outbox() == []
        assert comms(tmp_path, "resume", "--safe", "--send").returncode == 2
        assert "messages that were given up: 1" in printed(comms(tmp_path, "resume", "--safe"))
        until(lambda: client.status(waits.body["id"]) == "sent")
        assert client.status(made) == "expired"
        assert '"reason":"commits_lost"' in service.logged().replace(" ", "")
