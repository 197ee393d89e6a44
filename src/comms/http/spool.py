"""What was said and not heard yet: a queue of bytes that takes no more memory when nobody listens.

Beyond a few pieces it lies in a file without a name, which is gone with whoever held it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Coroutine
from typing import IO, Any

_PIECE = 64 * 1024
_MOST = 1024**3
"""Bytes of the file. Ten million verdicts: who reads none of them is not listened to any longer."""


async def spoken(spool: Spool, *parts: Coroutine[Any, Any, None]) -> AsyncGenerator[bytes, None]:
    """What the parts put into the spool, as they go on; they end with whoever listens."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        while piece := await spool.take():
            yield piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        spool.release()


class Spool:
    """First in, first out. `put` never waits; who makes more asks for `room` first."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._read = 0
        self._written = 0
        self._newest = bytearray()
        self._closed = False
        self._changed = asyncio.Event()
        self._stuck = False

    def put(self, said: bytes) -> None:
        """Add it to the end."""
        self._newest += said
        if len(self._newest) >= _PIECE and not self._stuck:
            self._put_away()
        self._changed.set()

    def close(self) -> None:
        """Nothing follows."""
        self._closed = True
        self._changed.set()

    async def room(self) -> None:
        """Wait while the file is full, or its disk is."""
        while self._stuck or self._written - self._read > _MOST:
            await self._change()

    async def take(self) -> bytes:
        """The next piece, as soon as there is one; empty once all were taken and nothing follows."""
        while not (piece := self._next()) and not self._closed:
            await self._change()
        return piece

    def release(self) -> None:
        """Give the file back."""
        if self._file:
            self._file.close()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _put_away(self) -> None:
        try:
            self._file = self._file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `release` closes it
            self._file.seek(self._written)
            while self._newest:
                count = self._file.write(self._newest)
                self._written += count
                del self._newest[:count]
        except (
            OSError
        ):  # the disk is full: what is in memory stays there, and `room` waits for it to be heard
            self._stuck = True

    def _next(self) -> bytes:
        if self._file and self._read < self._written:
            self._file.seek(self._read)
            piece = self._file.read(min(_PIECE, self._written - self._read))
            self._read += len(piece)
            if self._read == self._written:
                self._read = self._written = 0
                self._file.truncate(0)
        else:
            piece = bytes(self._newest)
            self._newest.clear()
            self._stuck = False
        if piece:
            self._changed.set()
        return piece
