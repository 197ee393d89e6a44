"""One round of a feed: what is tried, in which order, and what is kept to be tried again.

Events of one message go one after the other; those of different messages together. What is not taken
waits for its next time, with all that follows it of its message, and holds up nothing else. A receiver
that takes nothing new is left alone for longer and longer, and asked with one event before it gets more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import NamedTuple

import msgspec

from comms.domain.retry import delay
from comms.domain.webhooks import Entry
from comms.providers.outward import Said

A_DAY = timedelta(days=1).total_seconds()
_TOGETHER = 16
_ENOUGH = 4
"""So many refusals, and nothing taken: the others need not be tried in the same round."""

_LONGEST = 30.0
"""Seconds after which a round begins no further call."""


class Waiting(msgspec.Struct, array_like=True):
    """An event to be tried again: its entry, its message, and when (seconds since 1970)."""

    n: int
    message_id: str | None
    attempts: int
    first: float
    retry: float


class Tried(NamedTuple):
    """An event to be told now, with what is known of earlier tries."""

    entry: Entry
    before: Waiting | None

    @property
    def is_new(self) -> bool:
        """Was it never tried?"""
        return self.before is None or self.before.attempts == 0

    @property
    def message(self) -> str:
        """What it must stay in order with; an event of no message with itself alone."""
        return str(self.entry.message_id or self.entry.n)


class Round:
    """What came of it: `waiting`, `missed`, whether anything was taken, and who said what."""

    def __init__(
        self, call: Callable[[Entry], Awaitable[Said]], now: float, seconds: Callable[[], float]
    ) -> None:
        self.waiting: list[Waiting] = []
        self.missed = 0
        self.taken = 0
        self.refused = 0
        self.is_new_refused = False
        self.problem: str | None = None
        self.after = 0.0
        self.is_gone = False
        self._call = call
        self._now = now
        self._seconds = seconds
        self._ends = seconds() + _LONGEST
        self._slots = asyncio.Semaphore(_TOGETHER)

    async def go(self, tried: Iterable[Tried], *, carefully: bool) -> None:
        """Tell what can be told. `carefully`: one first, and the others only where it is taken."""
        queues: dict[str, list[Tried]] = {}
        for each in sorted(tried, key=lambda one: one.entry.n):
            queues.setdefault(each.message, []).append(each)
        if carefully and queues:
            first = min(queues.values(), key=lambda queue: (not queue[0].is_new, queue[0].entry.n))
            await self._tell_next(first)
            if not self.taken:
                for queue in queues.values():
                    self._put_off(queue, self._now)
        await asyncio.gather(*(self._tell_all(queue) for queue in queues.values()))

    async def _tell_all(self, queue: list[Tried]) -> None:
        """A message's events in order, up to the first that is not taken."""
        async with self._slots:
            while queue:
                if self._is_enough():
                    self._put_off(queue, self._now)
                else:
                    await self._tell_next(queue)

    async def _tell_next(self, queue: list[Tried]) -> None:
        """The first of a message's; where it is not taken, those behind it wait with it."""
        if not await self._tell(queue.pop(0)):
            self._put_off(queue, self.waiting[-1].retry)

    def _is_enough(self) -> bool:
        is_ill = not self.taken and self.refused >= _ENOUGH
        return self.is_gone or is_ill or self._seconds() > self._ends

    async def _tell(self, each: Tried) -> bool:
        """Is it done with? Taken, or given up."""
        said = await self._call(each.entry)
        if said.is_taken:
            self.taken += 1
            return True
        self.refused += 1
        self.is_new_refused |= each.is_new
        self.is_gone |= said.status == 410
        self.problem, self.after = said.problem, max(self.after, said.after)
        return self._keep(each, said)

    def _keep(self, each: Tried, said: Said) -> bool:
        """To be tried again; True where it was tried for a day, and the others need not wait for it."""
        before = each.before or _unseen(each, self._now)
        if before.attempts and self._now - before.first >= A_DAY:
            self.missed += 1
            return True
        first = before.first if before.attempts else self._now
        attempts = before.attempts + 1
        retry = self._now + delay(attempts, random.random(), said.after)
        self.waiting.append(Waiting(before.n, before.message_id, attempts, first, retry))
        return False

    def _put_off(self, queue: list[Tried], until: float) -> None:
        for each in queue:
            before = each.before or _unseen(each, self._now)
            self.waiting.append(Waiting(before.n, before.message_id, before.attempts, before.first, until))
        queue.clear()


def _unseen(each: Tried, now: float) -> Waiting:
    message_id = each.entry.message_id
    return Waiting(each.entry.n, str(message_id) if message_id else None, 0, now, now)
