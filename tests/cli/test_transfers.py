"""`comms consents`, `preferences` and `suppressions`: files in and out, beside a running service."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.service import COMMAND, Client, Service, comms, printed, sentence


@pytest.fixture
def who(client: Client) -> str:
    """A person of the brand that `client` has set up."""
    assert client.ask("GET", "/v1/brands/loop").status == 200
    return f"Xylophone-{uuid4()}"


def test_a_table_goes_in_and_what_is_refused_is_said_by_line(
    service: Service, client: Client, who: str
) -> None:
    rows = [
        "person_id,channel,category,opted_in,source",
        f"{who},email,news,true,form",
        f"{who},fax,news,true,form",
    ]
    (service.folder / "consents.csv").write_text("\n".join(rows))
    ended = comms(service.folder, "consents", "import", "consents.csv", "--brand", "loop")
    assert (ended.returncode, ended.stdout) == (1, "1 taken, 1 refused\n")
    assert ended.stderr.startswith("line 3: channel must be one of")
    found = client.ask("GET", f"/v1/consents/{who}?brand_id=loop").body["data"]
    assert [(each["category"], each["opted_in"]) for each in found] == [("news", True)]


def test_what_is_written_out_can_be_piped_in(service: Service, who: str) -> None:
    line = json.dumps({"email": f"{who}@example.org", "reason": "manual", "source": "call"})
    words = ["suppressions", "import", "-", "--brand", "loop"]
    [verdict] = printed(comms(service.folder, *words, "--json", given=line)).splitlines()
    assert json.loads(verdict)["status"] == 200
    printed(
        comms(
            service.folder,
            "suppressions",
            "export",
            "--brand",
            "loop",
            "--format",
            "csv",
            "--output",
            "s.csv",
        )
    )
    assert f"{who}@example.org" in (service.folder / "s.csv").read_text()
    again = printed(comms(service.folder, "suppressions", "import", "s.csv", "--brand", "loop"))
    assert again.endswith(" taken, 0 refused\n")


@pytest.mark.usefixtures("who")
def test_what_can_t_be_begun_is_one_sentence(service: Service) -> None:
    export = ["preferences", "export", "--brand", "nobody"]
    assert "no brand" in sentence(comms(service.folder, *export))
    words = ["preferences", "import", "-", "--brand", "loop", "--format", "csv"]
    assert "must name columns" in sentence(comms(service.folder, *words, given="Xylophone\n"))


def test_a_terminal_sees_how_far_it_is(service: Service, who: str, tmp_path: Path) -> None:
    lines = [
        json.dumps({"person_id": f"{who}-{n}", "channel": "email", "category": "news", "enabled": True})
        for n in range(2000)
    ]
    (tmp_path / "preferences.ndjson").write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    command = [str(COMMAND), "preferences", "import", str(tmp_path / "preferences.ndjson"), "--brand", "loop"]
    with subprocess.Popen(command, cwd=service.folder, stdout=subprocess.PIPE, stderr=theirs) as running:
        os.close(theirs)
        assert running.stdout is not None
        assert running.stdout.read() == b"2,000 taken, 0 refused\n"
    seen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert " lines, 0 refused" in seen
    assert " %" in seen
