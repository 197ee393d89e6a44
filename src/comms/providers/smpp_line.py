"""One bind of SMPP: a connection on which texts go out, several at once, and receipts come in.

Where the line breaks, whatever has no answer yet gets none: nobody knows what became of it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog

from comms.providers.smpp_pdu import (
    RESPONSE,
    Command,
    Delivered,
    Garbled,
    Status,
    Unit,
    delivered,
    read,
)

log = structlog.get_logger()

ENQUIRE_SECONDS = 30.0
"""Between two questions whether anybody is there."""

ANSWER_SECONDS = 60.0
"""After which a line is dead on which a text has no answer: its place in the window is needed."""

LINK_SECONDS = 10.0
_GOODBYE_SECONDS = 1.0
_FINISH_SECONDS = 8.0
_HEARING_AT_ONCE = 100

Heard = Callable[[str, Delivered], Awaitable[None]]
"""Keeps what the centre hands us, under an id; where it raises, the centre is asked to come again."""


class Ended(Exception):
    """The line is gone, and nothing was said on it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    command: int
    at: float
    answer: asyncio.Future[Unit | None]


class Line:
    """Open from `dial` until `ended`. At most `window` texts on it are without an answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int, heard: Heard
    ) -> None:
        self.ended = asyncio.Event()
        self._id = uuid4().hex
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._writer = writer
        self._heard = heard
        self._room = asyncio.Semaphore(window)
        self._sequence = 0
        self._asked: dict[int, _Asked] = {}
        self._hearing: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._work = [asyncio.create_task(self._listen())]

    async def bind(self, body: bytes) -> int | None:
        """Log in. The status; None where the centre hung up. Whatever goes wrong ends the line."""
        try:
            answer = await self._ask(Command.BIND_TRANSCEIVER, body)
        except BaseException:
            self.end()
            raise
        if answer is None or answer.status != Status.OK:
            self.end()
            return answer.status if answer else None
        self._work.append(asyncio.create_task(self._stay_awake()))
        return answer.status

    async def submit(self, body: bytes) -> asyncio.Future[Unit | None]:
        """Say it as soon as there is room: its answer is to come, or None. Raises Ended.

        Before this returns nothing was said; from then on it may have been taken.
        """
        await self._room.acquire()
        if self.ended.is_set() or self._is_closing:
            self._room.release()
            raise Ended
        answer = self._ask(Command.SUBMIT_SM, body)
        answer.add_done_callback(lambda _: self._room.release())
        return answer

    async def close(self) -> None:
        """Let what is under way end, say goodbye, hang up."""
        self._is_closing = True
        under_way: list[asyncio.Future[Any]] = [
            *self._hearing,
            *(each.answer for each in self._asked.values()),
        ]
        if under_way:
            await asyncio.wait(under_way, timeout=_FINISH_SECONDS)
        if not self.ended.is_set():
            await asyncio.wait([self._ask(Command.UNBIND)], timeout=_GOODBYE_SECONDS)
        self.end()
        await asyncio.gather(*self._work, *self._hearing, return_exceptions=True)

    def end(self) -> None:
        """Hang up, once."""
        if self.ended.is_set():
            return
        self.ended.set()
        self._writer.transport.abort()  # TLS would wait half a minute for the other side's goodbye
        for each in self._asked.values():
            if not each.answer.done():
                each.answer.set_result(None)
        self._asked.clear()
        for task in self._work:
            task.cancel()

    def _ask(self, command: Command, body: bytes = b"") -> asyncio.Future[Unit | None]:
        self._sequence = self._sequence % 0x7FFF_FFFF + 1  # section 3.2
        answer: asyncio.Future[Unit | None] = self._loop.create_future()
        if self.ended.is_set():
            answer.set_result(None)
            return answer
        self._asked[self._sequence] = _Asked(command, self._loop.time(), answer)
        self._writer.write(Unit(command, self._sequence, body=body).encode())
        return answer

    async def _listen(self) -> None:
        try:
            while True:
                unit = await read(self._reader)
                if unit.command & RESPONSE:
                    self._answered(unit)
                else:
                    self._requested(unit)
        except (OSError, asyncio.IncompleteReadError, Garbled) as error:
            if not self._is_closing:
                log.info("line_broken", problem=type(error).__name__)
        finally:
            self.end()

    async def _stay_awake(self) -> None:
        """Ask whether anybody is there, and end a line on which nobody is."""
        while True:
            await asyncio.sleep(ENQUIRE_SECONDS)
            oldest = next(iter(self._asked.values()), None)
            if oldest and self._loop.time() - oldest.at > ANSWER_SECONDS:
                break
            done, _ = await asyncio.wait([self._ask(Command.ENQUIRE_LINK)], timeout=LINK_SECONDS)
            if not done:
                break
        log.warning("line_silent")
        self.end()

    def _answered(self, unit: Unit) -> None:
        """By its sequence number. What answers nothing, or something else, is passed over."""
        asked = self._asked.get(unit.sequence)
        if asked and unit.command in {asked.command | RESPONSE, Command.GENERIC_NACK}:
            del self._asked[unit.sequence]
            asked.answer.set_result(unit)

    def _requested(self, unit: Unit) -> None:
        match unit.command:
            case Command.ENQUIRE_LINK:
                self._say(unit.answer())
            case Command.DELIVER_SM:
                self._take(unit)
            case Command.UNBIND:
                self._say(unit.answer())
                self.end()
            case Command.ALERT_NOTIFICATION:
                pass  # has no answer (section 4.12)
            case _:
                self._say(Unit(Command.GENERIC_NACK, unit.sequence, Status.UNKNOWN_COMMAND))

    def _take(self, unit: Unit) -> None:
        if len(self._hearing) >= _HEARING_AT_ONCE:
            self._say(unit.answer(Status.NOT_NOW, b"\0"))
            return
        task = asyncio.create_task(self._hear(unit))
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    async def _hear(self, unit: Unit) -> None:
        """It is ours once it is kept: until then the centre comes again."""
        try:
            await self._heard(f"{self._id}/{unit.sequence}", delivered(unit.body))
            status = Status.OK
        except Garbled:
            status = Status.NEVER
        except Exception as error:  # noqa: BLE001 - the database is away, mostly: the centre keeps it for us
            log.warning("not_heard", problem=type(error).__name__)
            status = Status.NOT_NOW
        self._say(unit.answer(status, b"\0"))

    def _say(self, unit: Unit) -> None:
        if not self.ended.is_set():
            self._writer.write(unit.encode())


async def dial(host: str, port: int, tls: ssl.SSLContext | None, window: int, heard: Heard) -> Line:
    """Connected, and not bound yet. Raises OSError, of which ssl.SSLError is one."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    return Line(reader, writer, window, heard)
