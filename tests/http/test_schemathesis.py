"""The document against the running service: thousands of requests made from the one, judged by the other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.running import COMMAND, demo

# Not a fault of ours: a body may be well formed and still name what is not there (the hooks' own check
# is stricter where it can be), and a made template has no version of a made-up id.
EXCLUDED = "positive_data_acceptance,ensure_resource_availability"

# A batch is always answered 200: what is wrong with a line stands in the line's verdict.
SETTINGS = """
[generation]
allow-x00 = false

[[operations]]
include-name = "POST /v1/messages/schedule/batch"
checks.negative_data_rejection.expected-statuses = ["200", "4xx"]

[[operations]]
include-path-regex = "/import$"
checks.negative_data_rejection.expected-statuses = ["200", "4xx"]

# It ends when its caller does.
[[operations]]
include-name = "GET /v1/inbox/stream"
enabled = false
"""


def test_the_service_does_what_its_document_says(tmp_path: Path) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    with demo(tmp_path / "data") as (address, token):
        made = _tried(settings, address, token)
    assert made.returncode == 0, made.stdout[-8000:]


def _tried(settings: Path, address: str, token: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            COMMAND.with_name("st"), "--config-file", settings, "run", f"{address}/v1/openapi.json", "--checks", "all",
            "--exclude-checks", EXCLUDED, "--max-examples", "5", "--seed", "1", "--continue-on-failure",
            "--header", f"Authorization: Bearer {token}",
        ],
        cwd=settings.parent,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
