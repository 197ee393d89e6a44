"""A body of lines (NDJSON), read as it comes: no more of it is kept than the line that is not whole yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from comms.http.parsing import LARGEST_BODY


class Line(NamedTuple):
    """Its number, from 1, and its bytes; None where there are more than may be kept."""

    number: int
    text: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.text or b"")


class Lines:
    """Cuts pieces into lines. Blank lines are counted and passed over."""

    def __init__(self) -> None:
        self.number = 1
        self._begun = bytearray()
        self._too_long = False

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that end in `piece`."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            self._keep(part)
            yield from self.end()
        self._keep(rest)

    def end(self) -> Iterator[Line]:
        """The line that has begun, unless it is blank."""
        text = None if self._too_long else bytes(self._begun)
        if text is None or text.strip():
            yield Line(self.number, text)
        self._begun.clear()
        self.number, self._too_long = self.number + 1, False

    def _keep(self, part: bytes) -> None:
        self._too_long = self._too_long or len(self._begun) + len(part) > LARGEST_BODY
        if not self._too_long:
            self._begun += part


class Window:
    """How much may be under way at a time, in lines and in bytes; one task enters, another leaves."""

    def __init__(self, lines: int, size: int) -> None:
        self._lines = lines
        self._size = size
        self._left = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Wait for room. A line that is larger than all of it never comes: lines are bounded."""
        while self._lines < 1 or self._size < size:
            self._left.clear()
            await self._left.wait()
        self._lines, self._size = self._lines - 1, self._size - size

    def leave(self, size: int) -> None:
        """Make room."""
        self._lines, self._size = self._lines + 1, self._size + size
        self._left.set()
