"""`comms keys`, and the keys that a start asks for."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from uuid import uuid4

from tests.cli.service import Prepared, comms, in_seconds, letter, printed, sentence, until

SHORT = {"COMMS_LEASE_SECONDS": "3"}
NEW = base64.b64encode(b"n" * 32).decode()


def test_keys_are_replaced_beside_a_running_service(prepared: Prepared, tmp_path: Path) -> None:
    with prepared.serving(tmp_path, **SHORT) as (service, client):
        made = [client.send(letter(str(uuid4()))).body["message_id"] for _ in range(3)]
        later = client.schedule(letter(str(uuid4()), scheduled_at=in_seconds(5))).body["id"]
        assert "brand loop: key 1 seals" in printed(comms(tmp_path, "keys", "status"))
        told = printed(comms(tmp_path, "keys", "rotate", "--brand", "loop", **SHORT)).splitlines()
        lines = [json.loads(line) for line in told]
        assert lines[-1] == {"done": True, "sealed": lines[-1]["sealed"]}
        assert lines[-1]["sealed"] >= 8
        assert {"round", "doing", "seen", "total", "sealed", "seconds"} == set(lines[0])
        assert "brand loop: key 2 seals" in printed(comms(tmp_path, "keys", "status"))
        until(lambda: client.status(later) == "sent")
        assert {client.show(each)["person_id"] for each in made} == {"p1"}

        # And the master key: both are known, what is wrapped changes, the older one goes.
        path = service.data_dir / "master.key"
        path.write_text(f"{NEW}\n{path.read_text()}")
        changed = json.loads(printed(comms(tmp_path, "keys", "rewrap", "--json")))
        assert changed == {"brand_keys": 2, "providers": 0, "persons": 0}
        path.write_text(NEW)
        shown = json.loads(printed(comms(tmp_path, "keys", "status", "--json")))
        assert shown["to_rewrap"] == 0
        assert [each["epoch"] for each in shown["epochs"]] == [1]


def test_what_keys_takes(prepared: Prepared, tmp_path: Path) -> None:
    prepared.put_into(tmp_path)
    assert (
        sentence(comms(tmp_path, "keys", "rotate"))
        == "Name one brand with --brand, or all of them with --all."
    )
    assert "brand_id" in sentence(comms(tmp_path, "keys", "rotate", "--brand", "nowhere"))


def test_a_start_without_its_epoch_key_is_refused_and_named(prepared: Prepared, tmp_path: Path) -> None:
    prepared.put_into(tmp_path)
    key = tmp_path / prepared.data_dir.name / "epochs" / "1.key"
    assert key.stat().st_mode & 0o777 == 0o600
    text = key.read_text()
    key.unlink()
    assert "1.key can't be read: restore it" in sentence(comms(tmp_path, "token", "list"))
    key.write_text(NEW)
    assert "1.key is not the key that is in use" in sentence(comms(tmp_path, "token", "list"))
    key.write_text(text)
    assert comms(tmp_path, "token", "list").returncode == 0
    key.chmod(0o644)
    key.parent.chmod(0o755)
    assert "epochs: others on this machine may read it -> chmod" in comms(tmp_path, "doctor").stdout
