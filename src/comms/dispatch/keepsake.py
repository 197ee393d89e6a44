"""What workers remember outside of the database: up to where it had acknowledged that they live.

    data_dir/witness/<installation>         witness, beat, and when sending was last resumed
    data_dir/witness/<installation>.lock    held (flock) by the one process that writes it

It is written after the database has said so, so it never knows more than was true. Lost, or older than it
could be after a power cut, it knows less, and nothing worse follows.
"""

from __future__ import annotations

import fcntl
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple
from uuid import UUID, uuid4

import structlog

log = structlog.get_logger()


class Memory(NamedTuple):
    """A witness, its last beat, and the resumption after which it was; one that is new has none."""

    witness_id: UUID
    beat: int
    resumed_at: datetime


class Keepsake:
    """The memory of one installation in one directory; of no directory that can't be written."""

    def __init__(self, data_dir: Path, installation_id: UUID) -> None:
        self._path = data_dir.absolute() / "witness" / str(installation_id)
        self._lock: IO[bytes] | None = None
        self._ours: UUID | None = None
        self._has_complained = False

    def read(self) -> Memory | None:
        """What is remembered; None: nothing."""
        try:
            witness_id, beat, resumed_at = self._path.read_text().split()
            return Memory(UUID(witness_id), int(beat), datetime.fromisoformat(resumed_at))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            log.warning("witness_unreadable", path=str(self._path))
            return None

    def take(self) -> UUID | None:
        """The witness's name, for the one process that may write; None: another one does, or nobody can."""
        if self._lock is None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = self._path.with_suffix(".lock").open("ab")
            except OSError as error:
                self._complain(error)
                return None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                return None
            self._lock = lock
            kept = self.read()
            self._ours = kept.witness_id if kept else uuid4()
        return self._ours

    def close(self) -> None:
        """Let another process write."""
        if self._lock:
            self._lock.close()
        self._lock = None

    def write(self, memory: Memory) -> None:
        """Remember this instead: whole, or not at all."""
        draft = self._path.with_suffix(".new")
        try:
            draft.write_text(f"{memory.witness_id} {memory.beat} {memory.resumed_at.isoformat()}\n")
            draft.replace(self._path)
            self._has_complained = False
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Once, not once a second."""
        if not self._has_complained:
            log.warning("no_witness", path=str(self._path), problem=error.strerror)
        self._has_complained = True
