"""A proxy before PostgreSQL that knows where its messages end, so that it can cut exactly there.

It speaks the frames of protocol 3.0 (PostgreSQL's documentation, "Message Formats"): a type of one
byte, a length of four that counts itself, the rest. Frames of one answer are held until
`ReadyForQuery`: by then the server has committed, and the client knows nothing of it yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_READY = b"Z"
_PARSE, _BIND, _QUERY = b"P", b"B", b"Q"


Act = Callable[[int], None]
"""What is done to the client whose connection comes from this port."""


class Point(NamedTuple):
    """A moment in a statement's life: before the server has it, or after its commit and before its client knows."""

    words: bytes
    is_after: bool
    act: Act


@dataclass(eq=False)
class Line:
    """One connection that goes through."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    texts: dict[bytes, bytes] = field(default_factory=dict)
    running: bytes = b""
    """The statement whose answer is awaited."""
    together: bytes = b""
    """All statements since the last commit."""

    @property
    def port(self) -> int:
        """Where the client's side comes from."""
        return int(self.client.get_extra_info("peername")[1])

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
        self._serving: set[asyncio.Task[None]] = set()
        self._armed: list[bytes] = []
        self._points: list[Point] = []
        self._open = asyncio.Event()
        self._open.set()
        self.delay = 0.0
        self.rate = 0.0
        self.cuts = 0

    async def start(self) -> int:
        """The port to connect to."""
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut everything and go."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._serving, *self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections, whatever they are doing."""
        for line in list(self._lines):
            line.cut()

    def cut_after(self, words: bytes) -> None:
        """Once: the next statement with these words commits, and its client never hears of it."""
        self._armed.append(words)

    def at(self, point: Point) -> None:
        """Once: something happens to the client at that point of its next statement with these words."""
        self._points.append(point)

    def disarm(self) -> None:
        """Nothing more is waited for."""
        self._armed.clear()
        self._points.clear()

    def move(self, socket: Path) -> None:
        """From now on to another server; who was connected is cut off."""
        self._socket = socket
        self.cut()

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Nothing passes in either direction, and nobody is told: a line that has gone dead."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._accept(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

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
                if kind in {_BIND, _QUERY}:
                    self._reach(line, is_after=False)
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
                if kind == _READY and frame[5:6] == b"I":
                    self._reach(line, is_after=True)
                if kind == _READY or len(held) > 65_536 or not line.running:
                    await self._pass(line.client, held)
                    held = b""
                if kind == _READY:
                    line.running = b""
                    line.together = b"" if frame[5:6] == b"I" else line.together

    def _is_armed(self, line: Line, state: bytes) -> bool:
        """Outside a transaction (`I`): what ran in it is committed."""
        hit = next((words for words in self._armed if words in line.together), None)
        if hit is None or state != b"I":
            return False
        self._armed.remove(hit)
        return True

    def _reach(self, line: Line, *, is_after: bool) -> None:
        for point in self._points:
            if point.is_after is is_after and point.words in (line.together if is_after else line.running):
                self._points.remove(point)
                point.act(line.port)
                return

    async def _pass(self, writer: asyncio.StreamWriter, frames: bytes) -> None:
        if self.delay or self.rate:
            await asyncio.sleep(self.delay + (len(frames) / self.rate if self.rate else 0))
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
        line.together += line.running
    elif kind == _QUERY:
        line.running = content
        line.together += content


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    size = await reader.readexactly(4)
    return kind, kind + size + await reader.readexactly(int.from_bytes(size, "big") - 4)
