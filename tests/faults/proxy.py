"""A proxy before PostgreSQL that knows where its messages end, so that it can cut exactly there.

It speaks the frames of protocol 3.0 (PostgreSQL's documentation, "Message Formats"): a type of one
byte, a length of four that counts itself, the rest. Frames of one answer are held until
`ReadyForQuery`: by then the server has committed, and the client knows nothing of it yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_READY = b"Z"
_PARSE, _BIND, _QUERY = b"P", b"B", b"Q"


@dataclass(eq=False)
class Line:
    """One connection that goes through."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    texts: dict[bytes, bytes] = field(default_factory=dict)
    running: bytes = b""
    """The statement whose answer is awaited."""

    def cut(self) -> None:
        """Reset both sides."""
        for side in (self.client, self.server):
            side.transport.abort()


class Proxy:
    """Listens on loopback, forwards to the server's unix socket, and does harm on request."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._lines: set[Line] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._armed: list[bytes] = []
        self._open = asyncio.Event()
        self._open.set()
        self.delay = 0.0
        self.cuts = 0

    async def start(self) -> int:
        """The port to connect to."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut everything and go."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections, whatever they are doing."""
        for line in list(self._lines):
            line.cut()

    def cut_after(self, words: bytes) -> None:
        """Once: the next statement with these words commits, and its client never hears of it."""
        self._armed.append(words)

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Nothing passes in either direction, and nobody is told: a line that has gone dead."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            writer.transport.abort()
            return
        line = Line(writer, to_server)
        self._lines.add(line)
        halves = [
            asyncio.create_task(self._forward(line, reader)),
            asyncio.create_task(self._answer(line, from_server)),
        ]
        self._tasks.update(halves)
        await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        line.cut()
        for half in halves:
            half.cancel()
        await asyncio.gather(*halves, return_exceptions=True)
        self._tasks.difference_update(halves)
        self._lines.discard(line)

    async def _forward(self, line: Line, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            size = await reader.readexactly(4)  # the first message has no type
            line.server.write(size + await reader.readexactly(int.from_bytes(size, "big") - 4))
            while True:
                kind, frame = await _frame(reader)
                _note(line, kind, frame[5:])
                await self._pass(line.server, frame)

    async def _answer(self, line: Line, reader: asyncio.StreamReader) -> None:
        held = b""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, frame = await _frame(reader)
                held += frame
                if kind == _READY and self._is_armed(line, frame[5:6]):
                    self.cuts += 1
                    line.cut()
                    return
                if kind == _READY or len(held) > 65_536 or not line.running:
                    await self._pass(line.client, held)
                    held = b""
                if kind == _READY:
                    line.running = b""

    def _is_armed(self, line: Line, state: bytes) -> bool:
        """Outside a transaction (`I`): what ran is committed."""
        hit = next((words for words in self._armed if words in line.running), None)
        if hit is None or state != b"I":
            return False
        self._armed.remove(hit)
        return True

    async def _pass(self, writer: asyncio.StreamWriter, frames: bytes) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._open.wait()
        writer.write(frames)
        await writer.drain()


def _note(line: Line, kind: bytes, content: bytes) -> None:
    """Which statement runs: asyncpg parses it once, then binds it by name."""
    if kind == _PARSE:
        name, text = content.split(b"\0", 2)[:2]
        line.texts[name] = text  # its answer comes before a `ReadyForQuery` (Flush): it is not held
    elif kind == _BIND:
        line.running = line.texts.get(content.split(b"\0", 2)[1], b"")
    elif kind == _QUERY:
        line.running = content


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    size = await reader.readexactly(4)
    return kind, kind + size + await reader.readexactly(int.from_bytes(size, "big") - 4)
