"""`comms doctor`, `comms settings`, and the settings that every command reads."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from msgspec.structs import fields

from comms.settings import Settings
from tests.cli.service import Client, Service, comms, in_seconds, letter, printed, sentence, until


def test_doctor_finds_a_running_service_well_and_what_it_is_used_for(
    service: Service, client: Client
) -> None:
    assert client.ask("GET", "/readyz").status == 200
    told = printed(comms(service.folder, "doctor"))
    assert "workers: 1 at work" in told
    assert "brand loop, email: sand" in told
    assert "->" not in told


def test_doctor_names_a_command_that_shows_what_is_unknown(service: Service, client: Client) -> None:
    lost = {"recipient": "+15555550004"}
    unknown = {
        client.send(letter(str(uuid4()), **lost)).body["message_id"],
        client.schedule(letter(str(uuid4()), scheduled_at=in_seconds(0), **lost)).body["id"],
    }
    until(lambda: {client.status(message_id) for message_id in unknown} == {"unknown"})
    try:
        told = comms(service.folder, "doctor")
        assert told.returncode == 1
        advice = re.search(r"unknown messages of brand loop: 2 -> comms ([^,]+),", told.stdout)
        assert advice
        shown = printed(comms(service.folder, *advice[1].split()))
        assert {line.split()[0] for line in shown.splitlines()} == unknown
    finally:
        for message_id in unknown:
            client.ask("POST", f"/v1/messages/scheduled/{message_id}/settle", {"outcome": "failed"})


def test_doctor_says_that_nothing_is_set_up_and_sets_nothing_up(tmp_path: Path) -> None:
    told = comms(tmp_path, "doctor")
    assert (told.returncode, told.stderr) == (1, "")
    assert "nothing is set up here yet -> comms serve sets it up" in told.stdout
    assert list(tmp_path.iterdir()) == []


def test_settings_names_and_explains_every_one(tmp_path: Path) -> None:
    lines = printed(comms(tmp_path, "settings")).splitlines()
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert named == [f"COMMS_{field.name.upper()}" for field in fields(Settings)]
    assert len(lines) == 2 * len(named)


def test_a_misspelt_variable_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    said = sentence(comms(tmp_path, "serve", COMMS_DATABSE_URL="Xylophone"))
    assert said == "COMMS_DATABSE_URL is no setting of comms; did you mean COMMS_DATABASE_URL?"
    assert list(tmp_path.iterdir()) == []


def test_a_file_env_in_the_working_directory_is_read(service: Service, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# ours\nexport COMMS_DATA_DIR='{service.data_dir}'\n")
    told = comms(tmp_path, "doctor")
    assert "workers: 1 at work" in told.stdout
