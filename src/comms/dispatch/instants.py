"""Reaching an instant of the database's clock: never before it, a fraction of a millisecond after.

Each answer of the database says what its clock read, some time between our question and the
answer's arrival. The arrival is therefore never too early a guess; the tightest guess of the
last answers is used.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime

from comms.clock import Clock

_REMEMBERED = 64
_COARSE = 0.002
"""Timers of the event loop are a millisecond coarse: the rest is waited for in small turns."""


class Instants:
    """The database's clock, as seen from the monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guesses: deque[float] = deque(maxlen=_REMEMBERED)

    def observe(self, database_clock: datetime) -> None:
        """An answer has arrived this moment that carries what the database's clock read."""
        self._guesses.append(self._clock.monotonic() - database_clock.timestamp())

    def until(self, instant: datetime) -> float:
        """Seconds until `instant`; negative when it has passed."""
        if self._clock.sql_now() is not None:
            return (instant - self._clock.now()).total_seconds()
        return instant.timestamp() + min(self._guesses) - self._clock.monotonic()

    async def reach(self, instant: datetime) -> None:
        """Return at `instant`, or at once where it has passed."""
        while (left := self.until(instant)) > 0:  # noqa: ASYNC110 - no event tells the time
            await asyncio.sleep(left - _COARSE if left > _COARSE else 0)
