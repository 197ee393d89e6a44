"""A small round: `make canaries` plays larger ones."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.canaries.campaign import Round
from tests.canaries.canary import MARK, found
from tests.canaries.filler import operations
from tests.canaries.rounds import CLEAR


def test_no_canary_is_found_outside_the_vault(tmp_path: Path) -> None:
    """Of some two thousand, by every member of every call, through a death of the database and one of the service."""
    played = Round(tmp_path, count=1_000, seed=1)
    searched = played.play()
    assert [each.line() for each in searched if each.leaks] == []
    assert [each.output for each in searched if not each.control] == [], "it was not looked at"
    lines = [json.loads(line) for service in played.logs for line in service.logged().splitlines()]
    assert not [line for line in lines if line["event"] == "forged"]
    assert len(played.nest) > 1_000
    meant = {operation.name for operation in operations()} - CLEAR
    taken = {name for caller in played.callers for (name, status) in caller.answers if status < 400}
    assert len(taken & meant) > 0.75 * len(meant), meant - taken
    assert not [name for caller in played.callers for (name, status) in caller.answers if status == 500]


@pytest.mark.parametrize("lead", range(3))
def test_a_canary_is_known_again_however_it_is_written(lead: int) -> None:
    word = f"{'x' * lead}{MARK}000001"
    for text in (
        word,
        word.upper(),
        word.encode().hex(),
        base64.b64encode(word.encode()).decode(),
        word[::-1],
    ):
        assert list(found(f"before {text} after".encode())), text
    assert list(found(b"tel:+4915557070042"))
    assert not list(found(b"nothing of anybody; qzvk wxjy; 49155 5707"))


def test_who_leaks_is_caught(tmp_path: Path) -> None:
    """A file in the clear, as a careless line of code would write it."""
    played = Round(tmp_path, count=0, seed=1)
    (tmp_path / "careless.log").write_text(f"sent to {played.nest.lay('here')}@example.org")
    assert [len(list(found(path.read_bytes()))) for path in tmp_path.iterdir()] == [1]
