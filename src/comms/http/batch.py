"""A batch: lines in, verdicts out, in the same order, while it is being read.

Reading never waits for the client to read: a client may write everything first. It waits for the
lines that are under way, and those are bounded, so that a batch of any length takes the same memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple

import msgspec
from starlette.requests import ClientDisconnect

from comms.actions.acceptance import Accepted
from comms.actions.batch import Batch
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.http import parsing
from comms.http.codes import WRITE
from comms.http.lines import SILENCE_SECONDS, Line, Lines, Window, pieces
from comms.http.messages import asked
from comms.http.routing import NDJSON, Answer, Call, Route, too_large, too_slow
from comms.http.shapes.messages import LineVerdict, Schedule
from comms.http.spool import Spool, spoken

_LINES = 1024
_BYTES = 4 * 1024 * 1024
"""What may be under way at a time: enough for two groups at the database and one that is being checked."""

_BREATH = 16
"""Lines that are begun before others get their turn: a few milliseconds."""


async def schedule_batch(call: Call) -> Answer:
    """Accept messages for their times, line by line."""
    return Answer(_Exchange(call).pieces(), headers={"Content-Type": NDJSON})


class _UnderWay(NamedTuple):
    verdict: asyncio.Task[LineVerdict]
    size: int


class _Exchange:
    """One batch, from its first line to its last verdict."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._batch = Batch(call.house)
        self._lines = Lines()
        self._window = Window(_LINES, _BYTES)
        self._order: asyncio.Queue[_UnderWay | None] = asyncio.Queue()
        self._spool = Spool()
        self._faults: dict[type[Exception], Refused] = {}

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Verdicts as they come, some at a time."""
        return spoken(self._spool, self._read(), self._tell())

    async def _read(self) -> None:
        """Begin every line. Where the client goes away, what was begun is seen through."""
        try:
            await self._begin_all()
        except ClientDisconnect:
            pass
        except TimeoutError:
            refused = too_slow("Nothing more came for", SILENCE_SECONDS)
            await self._begin([Line(self._lines.number, b"")], refused)
        finally:
            self._order.put_nowait(None)

    async def _begin_all(self) -> None:
        async for piece in pieces(self._call.request, SILENCE_SECONDS):
            await self._begin(self._lines.feed(piece), await self._who())
        await self._begin(self._lines.end(), await self._who())

    async def _who(self) -> Caller | Exception:
        """Who calls, asked again with every piece: a token may be revoked while its batch is being read."""
        try:
            return await self._call.renewed()
        except Exception as error:  # noqa: BLE001 - each line's verdict says what it was
            return error

    async def _begin(self, lines: Iterable[Line], who: Caller | Exception) -> None:
        for count, line in enumerate(lines):
            await self._spool.room()
            await self._window.enter(line.size)
            verdict = asyncio.create_task(self._verdict(line, who))
            self._order.put_nowait(_UnderWay(verdict, line.size))
            if count % _BREATH == 0:
                await asyncio.sleep(0)

    async def _tell(self) -> None:
        try:
            while under_way := await self._order.get():
                verdict = await under_way.verdict
                self._window.leave(under_way.size)
                self._spool.put(msgspec.json.encode(verdict) + b"\n")
        finally:
            self._spool.close()

    async def _verdict(self, line: Line, who: Caller | Exception) -> LineVerdict:
        try:
            accepted = await self._accepted(line, who)
        except Exception as error:  # noqa: BLE001 - a bad line never harms the others
            refused = self._refused(error)
            self._call.house.metrics.refused.add(refused.code)
            return LineVerdict(line.number, refused.status, error=refused.code, message=refused.message)
        return LineVerdict(line.number, 201, id=accepted.message["id"], replayed=accepted.replayed)

    def _refused(self, error: Exception) -> Refused:
        """A kind of fault is logged once a batch: a million lines may meet it."""
        if isinstance(error, Refused):
            return error
        if type(error) not in self._faults:
            self._faults[type(error)] = self._call.refused(error)
        return self._faults[type(error)]

    async def _accepted(self, line: Line, who: Caller | Exception) -> Accepted:
        """Nothing is waited for before the batch has the request: so one key's lines keep their order."""
        if isinstance(who, Exception):
            raise who
        if line.text is None:
            raise too_large("line")
        body = parsing.decode(line.text, Schedule)
        return await self._batch.schedule(who, asked(body, body.scheduled_at))


ROUTES = [
    Route(
        "POST",
        "/v1/messages/schedule/batch",
        WRITE,
        schedule_batch,
        "Schedule many messages, line by line",
        {200: LineVerdict},
        line=Schedule,
    ),
]
