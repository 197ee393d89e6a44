"""Each line that is logged has its meaning on the page for those who are woken by it, and no other has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "running.md"
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def is_logger(named: ast.expr) -> bool:
    return (isinstance(named, ast.Name) and named.id == "log") or (
        isinstance(named, ast.Call)
        and isinstance(named.func, ast.Attribute)
        and named.func.attr == "get_logger"
    )


def said(module: Path) -> list[str]:
    """The first word of each line that the module logs; it must be spelled out, to be found again."""
    found = []
    for each in ast.walk(ast.parse(module.read_text())):
        if (
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr in LEVELS
            and is_logger(each.func.value)
        ):
            word = each.args[0]
            assert isinstance(word, ast.Constant), f"{module.name}, line {each.lineno}"
            found.append(str(word.value))
    return found


def test_the_page_lists_every_line_that_is_logged_and_no_other(source: Path) -> None:
    emitted = {word for module in source.rglob("*.py") for word in said(module)}
    assert len(emitted) > 40
    [table] = re.findall(r"^\| line \| .*?(?=^$)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    listed = [
        word
        for row in re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)
        for word in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(listed) == sorted(emitted)
