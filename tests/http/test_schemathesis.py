"""The document against the running service: thousands of requests made from the one, judged by the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent
# Not a fault of ours: a body may be well formed and still name what is not there (the hooks' own check
# is stricter where it can be), and a made template has no version of a made-up id.
EXCLUDED = "positive_data_acceptance,ensure_resource_availability"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and token of a service with a demo brand."""
    command = [str(COMMAND / "comms"), "demo", "--port", "0", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        told = dict(
            line.split(maxsplit=1)
            for line in iter(service.stdout.readline, "Ctrl-C ends it.\n")
            if " " in line
        )
        yield told["Address"].strip(), told["Token"].strip()
        service.terminate()


def test_the_service_does_what_its_document_says(demo: tuple[str, str], tmp_path: Path) -> None:
    address, token = demo
    settings = tmp_path / "schemathesis.toml"
    settings.write_text("[generation]\nallow-x00 = false\n")
    made = subprocess.run(
        [
            COMMAND / "st", "--config-file", settings, "run", f"{address}/v1/openapi.json", "--checks", "all",
            "--exclude-checks", EXCLUDED, "--max-examples", "15", "--seed", "1", "--continue-on-failure",
            "--header", f"Authorization: Bearer {token}",
        ],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-8000:]
