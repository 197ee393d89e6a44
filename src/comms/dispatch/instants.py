"""Reaching an instant of the database's clock: never before it, a fraction of a millisecond after.

Each answer of the database says what its clock read some time between our question and the
answer's arrival, so each bounds the difference to our monotonic clock from both sides. What the
answers of the last seconds allow together is the difference; its late edge is used, so that
nothing is early. An answer that contradicts the others means that one of the clocks was set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from typing import NamedTuple

from comms.clock import Clock

_REMEMBERED_SECONDS = 10.0  # longer, and the drift between two clocks would count
_COARSE = 0.002
"""Timers of the event loop are a millisecond coarse: the rest is waited for in small turns."""


class _Bound(NamedTuple):
    at: float
    least: float
    most: float


class Instants:
    """The database's clock, as seen from the monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bounds: deque[_Bound] = deque()
        self._behind = self._before = 0.0

    def observe(self, asked: float, database_clock: datetime) -> None:
        """An answer has arrived this moment; it was `asked` for then, and carries what the clock read."""
        now, read = self._clock.monotonic(), database_clock.timestamp()
        bound = _Bound(now, asked - read, now - read)
        while self._bounds and self._bounds[0].at < now - _REMEMBERED_SECONDS:
            self._bounds.popleft()
        if any(bound.least > each.most or bound.most < each.least for each in self._bounds):
            self._bounds.clear()
        self._bounds.append(bound)
        self._behind = min(each.most for each in self._bounds)
        self._before = max(each.least for each in self._bounds)

    def until(self, instant: datetime) -> float:
        """Seconds until `instant`; negative when it has passed."""
        if self._clock.sql_now() is not None:
            return (instant - self._clock.now()).total_seconds()
        return instant.timestamp() + self._behind - self._clock.monotonic()

    def passed(self, instant: datetime) -> float:
        """Seconds since `instant`, at the most that may be; negative before it."""
        if self._clock.sql_now() is not None:
            return (self._clock.now() - instant).total_seconds()
        return self._clock.monotonic() - self._before - instant.timestamp()

    async def reach(self, instant: datetime) -> None:
        """Return at `instant`, or at once where it has passed."""
        while (left := self.until(instant)) > 0:  # noqa: ASYNC110 - no event tells the time
            await asyncio.sleep(left - _COARSE if left > _COARSE else 0)
