"""Seconds of the processor that processes took, whatever else the machine did meanwhile (proc(5), stat)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds(pid: int, *, with_children: bool = False) -> float:
    """Of one process so far; with its children also theirs, living or gone."""
    own = _ticks(pid)
    if with_children:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):  # gone meanwhile: its parent's figure has it
                if int(_stat(int(process.name))[1]) == pid:
                    own += _ticks(int(process.name))
    return own / _TICKS


def postmaster(data_dir: Path) -> int:
    """The process that all of the embedded PostgreSQL's come from."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def _ticks(pid: int) -> int:
    """In user and system mode, its own and that of children that were waited for."""
    return sum(int(field) for field in _stat(pid)[11:15])


def _stat(pid: int) -> list[str]:
    """The fields behind the name: state, parent and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
