"""The oldest PostgreSQL that we promise to run on, as Debian packs it: the same journeys, the same statements."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def oldest() -> Path:
    """Where Debian keeps its oldest server; skips loudly where there is none, and fails in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if found:
        return found[0]
    if os.environ.get("COMMS_TEST_NO_SKIP"):
        pytest.fail("Debian's PostgreSQL is missing: install postgresql")
    pytest.skip(
        "Debian's PostgreSQL is missing: install postgresql to try the oldest version that is supported"
    )


def test_journeys_through_every_table_on_it() -> None:
    stories = (
        "from_accepted_to_sent",
        "doubts",
        "permission",
        "caps",
        "events",
        "erasure",
        "erasure_meanwhile",
        "epochs",
        "limits",
        "supersession",
    )
    tests = [f"tests/journeys/test_{each}.py" for each in stories]
    tests += ["tests/store/test_migrate.py", "tests/events", "tests/http/test_audit.py", "tests/audit"]
    made = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=os.environ | {"COMMS_TEST_POSTGRES": str(oldest())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-4000:]
