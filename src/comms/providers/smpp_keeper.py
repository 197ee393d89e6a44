"""Keeps a line: dials it, and dials again whenever it ends, less and less often where nobody answers.

It alone dials, however many want to send: who comes between two tries is told what came of the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from comms.providers.base import Misconfigured, TryLater
from comms.providers.smpp_line import Line

FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_STABLE_SECONDS = 60.0
"""A line that lasted so long is dialled again at once."""

_NO_LINE = TryLater("connection")

Found = Line | TryLater | Misconfigured


class Keeper:
    """One line at a time, from the first `start` to `close`."""

    def __init__(self, dial: Callable[[], Awaitable[Found]]) -> None:
        self._dial = dial
        self._task: asyncio.Task[None] | None = None
        self._found: asyncio.Future[Found] | None = None

    def start(self) -> None:
        """Dial; also where nothing is to be sent, since the other side may have something to say."""
        if self._task is None:
            self._found = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._keep(self._found))

    async def line(self, until: float) -> Found:
        """The line, which may have ended since, or why there is none. `until`: by the loop's clock."""
        self.start()
        assert self._found is not None  # noqa: S101 - made with the task
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(self._found)
        except TimeoutError:
            return _NO_LINE

    async def close(self) -> None:
        """Say goodbye, and dial no more."""
        if self._task is None or self._found is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._found.done():
            self._found.set_result(_NO_LINE)
        found = self._found.result()
        if isinstance(found, Line):
            await found.close()

    async def _keep(self, promised: asyncio.Future[Found]) -> None:
        pause, loop = 0.0, asyncio.get_running_loop()
        while True:
            found = await self._dial()
            promised.set_result(found)
            began = loop.time()
            if isinstance(found, Line):
                await found.ended.wait()
            pause = 0.0 if loop.time() - began > _STABLE_SECONDS else _longer(pause)
            await asyncio.sleep(pause)
            promised = self._found = loop.create_future()


def _longer(pause: float) -> float:
    return min(max(FIRST_PAUSE, 2 * pause), _LONGEST_PAUSE)
