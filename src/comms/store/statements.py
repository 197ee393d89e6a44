"""SQL as files: each statement has a name, the moves that it makes, and a reason where its shape is odd.

-- name: cancel
-- cancel: scheduled -> cancelled
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_MOVE = re.compile(r"^-- (\w+): (\w+) -> (\w+)$", re.MULTILINE)


class Move(NamedTuple):
    """A change of status that a statement's header declares."""

    event: str
    source: str
    target: str


class Statement(NamedTuple):
    """One named statement of a file."""

    name: str
    sql: str
    moves: tuple[Move, ...]


@cache
def load(group: str) -> dict[str, Statement]:
    """The statements of `sql/<group>.sql`, by name."""
    text = files("comms.store").joinpath("sql", f"{group}.sql").read_text()
    _, *parts = _NAME.split(text)
    return {name: _statement(name, body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def sql(group: str, name: str) -> str:
    """The text of one statement."""
    return load(group)[name].sql


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows turned into the arrays that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)]


def _statement(name: str, body: str) -> Statement:
    moves = tuple(Move(*found) for found in _MOVE.findall(body))
    return Statement(name, body.strip().removesuffix(";"), moves)
