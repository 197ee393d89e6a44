"""What the fuzzer begins with, and what it once found, each time the tests run; `make fuzz` looks for more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
FOUND = [path for path in sorted(CORPUS.glob("*/*")) if path.is_file()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_input_breaks_nothing(path: Path) -> None:
    """As it is, cut short, and with a byte changed."""
    whole, dice = path.read_bytes(), random.Random(path.name)
    TARGETS[path.parent.name](whole)
    for _ in range(5):
        at = dice.randrange(len(whole) + 1)
        TARGETS[path.parent.name](whole[:at])
        TARGETS[path.parent.name](whole[:at] + bytes([dice.randrange(256)]) + whole[at + 1 :])


def test_every_target_begins_with_something() -> None:
    assert {path.parent.name for path in FOUND} == set(TARGETS)
