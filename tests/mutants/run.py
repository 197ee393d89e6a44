"""Break the code in each of seventeen ways and two of ours, in a copy, and see who notices.

    python -m tests.mutants.run            # all of them
    python -m tests.mutants.run webhook    # those whose names contain the word

First the tests that are asked run on the copy as it is: what fails there proves nothing. Each mutant is
given up after a while; a run that neither passes nor fails a test counts as none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.mutants.table import MUTANTS, OURS, Mutant

AT_A_TIME = 2
MOST_SECONDS = 240.0
HERE = Path(__file__).parents[2]
_COPIED = ("src", "tests", "docs", "pyproject.toml", "README.md")
_FAILED = re.compile(r"^FAILED tests/(\S+)", re.MULTILINE)
_PYTEST = ("-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider")


class Seen(NamedTuple):
    """What came of one: the test that failed (None: none did), seconds, and what went wrong with the run."""

    name: str
    caught_by: str | None
    seconds: float
    problem: str | None = None

    def line(self) -> str:
        """A row of the table."""
        return f"| {self.name} | {self.caught_by or self.problem or 'SURVIVED'} | {self.seconds:.0f} |"


def tried(mutant: Mutant | None, tests: tuple[str, ...]) -> Seen:
    """The tests on a copy of all that they need, with the mutant in it; None: as it is."""
    began = time.monotonic()
    name = mutant.name if mutant else "(none)"
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        place = Path(folder)
        for each in _COPIED:
            copy = shutil.copytree if (HERE / each).is_dir() else shutil.copy
            copy(HERE / each, place / each)
        if mutant:
            mutant.apply(place / "src" / "comms")
        variables = os.environ | {"PYTHONPATH": str(place / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, *_PYTEST, *tests]
        try:
            ran = subprocess.run(
                command,
                cwd=place,
                env=variables,
                capture_output=True,
                text=True,
                timeout=MOST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Seen(name, None, time.monotonic() - began, "ran out of time")
    failed = _FAILED.search(ran.stdout)
    problem = None if ran.returncode == 0 or failed else f"no verdict: {ran.stdout.strip()[-300:]}"
    return Seen(name, failed[1] if failed else None, time.monotonic() - began, problem)


def main() -> None:
    """From the command line."""
    words = sys.argv[1:]
    chosen = [each for each in (*MUTANTS, *OURS) if not words or any(word in each.name for word in words)]
    tests = tuple(sorted({test for each in chosen for test in each.tests}))
    control = tried(None, tests)
    if control.caught_by or control.problem or not chosen:
        raise SystemExit(f"the code as it is: {control.line()}")
    print("| mutant | caught by | seconds |\n|---|---|---|")  # noqa: T201 - its table
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        seen = []
        for each in pool.map(lambda mutant: tried(mutant, mutant.tests), chosen):
            seen.append(each)
            print(each.line(), flush=True)  # noqa: T201 - its table
    caught = sum(each.caught_by is not None for each in seen)
    print(f"{caught} of {len(seen)} caught; the code as it is passes in {control.seconds:.0f} s")  # noqa: T201
    raise SystemExit(caught < len(seen))


if __name__ == "__main__":
    main()
