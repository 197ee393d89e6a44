"""docs/security.md is held to its word: each row names a test that is there, or says that nothing is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| ([SH])(\d+) \|(.*)\|$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)
TESTS = set(
    re.findall(r"def (test_\w+)", "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py")))
)


def test_the_thirty_of_each_are_there_once() -> None:
    for letter in "SH":
        assert [int(number) for kind, number, _ in ROWS if kind == letter] == list(range(1, 31))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0] + row[1])
def test_each_row_is_shown_by_a_test_or_says_that_it_is_not_built(row: tuple[str, str, str]) -> None:
    named = re.findall(r"`(test_\w+)`", row[2].rpartition("|")[2])
    assert set(named) <= TESTS
    assert bool(named) != row[2].endswith("| not built "), row[2]
