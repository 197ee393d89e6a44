"""Every mutant still fits the code; `make mutants` shows that every one is caught."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from tests.mutants.table import MUTANTS, OURS, Edit, Mutant, NotThere


@pytest.mark.parametrize("mutant", [*MUTANTS, *OURS], ids=lambda mutant: mutant.name)
def test_it_changes_what_is_there(mutant: Mutant, source: Path, tmp_path: Path) -> None:
    for path in {edit.path for edit in mutant.edits}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, tmp_path / path)
    mutant.apply(tmp_path)
    for path in {edit.path for edit in mutant.edits}:
        changed = (tmp_path / path).read_text()
        assert changed != (source / path).read_text()
        if path.endswith(".py"):
            ast.parse(changed)
    assert all((source.parents[1] / test).exists() for test in mutant.tests)


def test_there_are_seventeen() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == 17


@pytest.mark.parametrize("old", ["not there", "import"])
def test_one_that_fits_nowhere_or_twice_is_refused(source: Path, tmp_path: Path, old: str) -> None:
    shutil.copy(source / "clock.py", tmp_path)
    with pytest.raises(NotThere):
        Mutant("odd", "", (Edit("clock.py", old, ""),), ()).apply(tmp_path)
