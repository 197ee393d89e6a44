"""A body of lines (NDJSON), read as it comes: no more of it is kept than the line that is not whole yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from starlette.requests import Request

from comms.http.parsing import LARGEST_BODY

SILENCE_SECONDS = 30.0
"""For which a client may send nothing."""


class Line(NamedTuple):
    """Its number, from 1, and its bytes; None where there are more than may be kept."""

    number: int
    text: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.text or b"")


class Lines:
    """Cuts pieces into lines. Blank lines are counted, and passed over unless they are asked for."""

    def __init__(self, *, blank: bool = False) -> None:
        self.number = 1
        self._blank = blank
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
        if self._blank or text is None or text.strip():
            yield Line(self.number, text)
        self._begun.clear()
        self.number, self._too_long = self.number + 1, False

    def _keep(self, part: bytes) -> None:
        self._too_long = self._too_long or len(self._begun) + len(part) > LARGEST_BODY
        if not self._too_long:
            self._begun += part


async def pieces(request: Request, silence: float) -> AsyncIterator[bytes]:
    """The body as it comes; TimeoutError where nothing more does for so many seconds."""
    body = request.stream()
    while True:
        async with asyncio.timeout(silence):
            piece = await anext(body, None)
        if piece is None:
            return
        yield piece


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
