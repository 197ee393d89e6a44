"""One provider's slots in one worker: asked for, handed out, used again, given back.

`slots.py` says what a slot is.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from comms.actions.house import House
from comms.dispatch.instants import Instants
from comms.store import pace
from comms.store.database import AWAY

log = structlog.get_logger()

TOLERANCE = 0.05
"""Seconds by which a call may begin after its instant; instants are so much further apart."""

_AHEAD = timedelta(seconds=0.25)
"""How far ahead instants are taken: others want some, too."""

_POLL = 0.05
_SHORTLY = 0.005
_RENEW = 1.0
_MARK_BEFORE = 0.03
_MARGIN = 1.0
_WEIGHT = 0.05


class _Waiting(NamedTuple):
    slot: asyncio.Future[Slot | None]
    due_at: datetime
    until: float
    """On the monotonic clock: a call that begins later would outlast the message's lease."""

    marked: Slot | None = None
    """What was let in already, and waits for its turn to call."""


class Slot:
    """Leave to make one call, until it is given back. Without a gate there is nothing to keep to."""

    def __init__(self, gate: Gate | None = None, start: datetime | None = None, since: float = 0.0) -> None:
        self._gate = gate
        self.start = start
        self.since = since
        """When it was let in, then when its call began, on the loop's clock."""
        self.is_calling = False

    async def begins(self, until: float) -> bool:
        """Return when the call may begin; False where that would be after `until` (monotonic)."""
        if self._gate and not await self._gate.begin(self, until):
            return False
        if self._gate and self.start:
            await self._gate.comes(self.start)
            while not self._gate.is_on_time(self.start):  # the mark took long, or the loop was busy
                if not (later := await self._gate.start(self.start, until)):
                    return False
                self.start = later
                await self._gate.comes(later)
        return self.is_good()

    def is_good(self) -> bool:
        """May the call begin at this moment? Nothing may be awaited between this and the call."""
        return self._gate is None or self._gate.is_good(self.start)

    def end(self) -> None:
        """The call is over, or was not begun. Twice is once."""
        gate, self._gate = self._gate, None
        if gate:
            gate.give_back(self)


class Gate:
    """One provider's slots in this worker. Asks for them as long as somebody waits or a call is under way.

    To be marked takes a message a while, in which its slot would lie idle. So more are let in than may call:
    twice as many as will find a slot free by the time that they are marked, since marks are written in groups
    and calls end one by one. Where calls take long there are none.
    """

    def __init__(self, house: House, owner: UUID, instants: Instants, provider_id: str) -> None:
        self.instants = instants
        self._house = house
        self._owner = owner
        self._provider_id = provider_id
        self._lasts = house.settings.lease_seconds
        self._concurrency: int | None = None
        self._apart: timedelta | None = None
        self._waiting: deque[_Waiting] = deque()
        self._marked: deque[_Waiting] = deque()  # let in, and no slot is free yet
        self._late: deque[_Waiting] = deque()  # they have what they need but an instant
        self._starts: deque[datetime] = deque()
        self._let_in = self._busy = self._held = self._may = 0
        self._marks_take = self._calls_take = 0.0  # seconds, on the average of late
        self._good_until = float("-inf")
        self._ask_at = float("-inf")  # of the loop's clock, as all that is only waited for
        self._heard = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._is_stopped = False

    def keep_to(self, limits: dict[str, float]) -> None:
        """The limits as they are set up now."""
        concurrency, per_second = limits.get("concurrency"), limits.get("per_second")
        self._concurrency = int(concurrency) if concurrency else None
        self._apart = _apart(per_second) if per_second else None

    async def slot(self, due_at: datetime, until: float) -> Slot | None:
        """The next that is free."""
        slot = await self._wait(self._waiting, due_at, until)
        if slot and slot.start:  # what is marked and not called is a doubt if we die: mark it shortly before
            await asyncio.sleep(max(0.0, self.instants.until(slot.start) - _MARK_BEFORE))
        return slot

    async def start(self, missed: datetime, until: float) -> datetime | None:
        """Another instant for a call that has missed its own."""
        slot = await self._wait(self._late, missed, until)
        return slot.start if slot else None

    async def comes(self, start: datetime) -> None:
        """Return at the instant, give or take a millisecond: not before it."""
        while (left := self.instants.until(start)) > 0:  # noqa: ASYNC110 - no event tells the time
            await asyncio.sleep(left)

    def is_on_time(self, start: datetime) -> bool:
        """Has the instant passed for no longer than we may be late?"""
        return self.instants.passed(start) <= TOLERANCE

    def is_good(self, start: datetime | None) -> bool:
        """Does our lease outlast a call that begins now?"""
        return self._may_begin() and (start is None or self.is_on_time(start))

    async def begin(self, slot: Slot, until: float) -> bool:
        """One that was let in makes its call; False where it gets no slot `until` then."""
        if slot.start is None:
            self._marks_take += _WEIGHT * (_now() - slot.since - self._marks_take)
        if self._may_call():
            self._calls(slot)
            return True
        return await self._wait(self._marked, self._house.clock.now(), until, slot) is not None

    def give_back(self, slot: Slot) -> None:
        """A call is over, or will not be."""
        if slot.is_calling:
            self._busy -= 1
            self._calls_take += _WEIGHT * (_now() - slot.since - self._calls_take)
        else:
            self._let_in -= 1
        self._hand_out()
        if self._held > max(self._busy, self._may):
            self._ask_at = float("-inf")  # others wait for it
        self._heard.set()

    def stop(self) -> None:
        """Nobody gets a slot any more."""
        self._is_stopped = True
        self._heard.set()

    async def idle(self) -> None:
        """Return when nothing is asked for any more."""
        if self._running:
            await self._running

    async def _wait(
        self, line: deque[_Waiting], due_at: datetime, until: float, marked: Slot | None = None
    ) -> Slot | None:
        waiting = _Waiting(asyncio.get_running_loop().create_future(), due_at, until, marked)
        line.append(waiting)
        self._hand_out()
        if not waiting.slot.done():
            self._ask_soon()
        try:
            return await waiting.slot
        except asyncio.CancelledError:
            if waiting in line:
                line.remove(waiting)
            elif waiting.slot.done() and not waiting.slot.cancelled() and (slot := waiting.slot.result()):
                slot.end()
            raise

    def _ask_soon(self) -> None:
        """One that is new wants to be asked for, unless we have all there is."""
        if self._apart or self._may < (self._concurrency or 0):
            self._ask_at = min(self._ask_at, asyncio.get_running_loop().time())
        self._heard.set()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Ask, hand out, wait until something happens. Nothing is held in the end."""
        loop = asyncio.get_running_loop()
        while self._wanted() or self._late or self._held:
            self._refuse()
            if loop.time() >= self._ask_at or not (self._wanted() or self._late):
                await self._ask()
            self._hand_out()
            self._heard.clear()
            try:
                async with asyncio.timeout_at(self._ask_at):
                    await self._heard.wait()
            except TimeoutError:
                pass

    async def _ask(self) -> None:
        """For as much as those who wait need. While it is asked, all that we may have may come into use."""
        asked, line = self._house.clock.monotonic(), [*self._late, *self._waiting]
        wanted = self._wanted()
        busy = max(self._busy, min(self._may, wanted))
        starts = max(0, len(line) - len(self._starts)) if self._apart else 0
        first_due = min((each.due_at for each in line), default=None)
        most = self._concurrency or 0  # where there is no such limit, nothing of it is held
        wish = pace.Wish(min(busy, most), min(wanted, most), starts, first_due)
        try:
            lease = await pace.lease(
                self._house.database.engine, self._house.clock.sql_now(), self._provider_id, self._owner,
                wish, timedelta(seconds=self._lasts), self._concurrency, self._apart, _AHEAD,
            )  # fmt: skip
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("slots_wait", provider_id=self._provider_id, problem=type(error).__name__)
            self._ask_at = asyncio.get_running_loop().time() + _RENEW
            return
        self._held, self._may, self._good_until = lease.held, lease.may, asked + self._lasts - _MARGIN
        self._starts.extend(lease.starts)
        self._hand_out()
        self._ask_at = asyncio.get_running_loop().time() + self._pause(lease)

    def _pause(self, lease: pace.Lease) -> float:
        """Until the next question: soon where somebody waits for what others may give back."""
        spread = random.uniform(0.6, 1.4)
        longest = min(_RENEW, self._lasts / 6)
        if self._apart and (self._late or self._waiting) and not self._starts:
            until_there_are = self.instants.until(lease.next_at - _AHEAD)
            return min(max(until_there_are, 0.0) + _SHORTLY * spread, longest)
        if self._waiting and self._concurrency and self._may < self._concurrency:
            return _POLL * spread
        return longest

    def _hand_out(self) -> None:
        """To those who have waited longest, as much as there is."""
        while self._starts and not self.is_on_time(self._starts[0]):
            self._starts.popleft()
        while self._late and self._starts:
            self._late.popleft().slot.set_result(Slot(None, self._starts.popleft()))
        while self._marked and self._may_call():
            next_ = self._marked.popleft()
            if next_.marked:
                self._calls(next_.marked)
            next_.slot.set_result(next_.marked)
        while self._waiting and self._has_room():
            next_ = self._waiting.popleft()
            start = self._starts.popleft() if self._apart else None
            self._let_in += 1
            next_.slot.set_result(Slot(self, start, _now() + max(0.0, self.instants.until(next_.due_at))))

    def _wanted(self) -> int:
        return self._busy + self._let_in + len(self._waiting)

    def _has_room(self) -> bool:
        """For one more to be marked, so that it can call as soon as it is."""
        if self._is_stopped or (self._apart and not self._starts):
            return False
        if self._concurrency is None:
            return True
        share = min(2 * self._marks_take / self._calls_take, 0.5) if self._calls_take else 0.0
        return self._busy + self._let_in < self._may + round(self._may * share) and self._may_begin()

    def _may_call(self) -> bool:
        return self._concurrency is None or (self._busy < self._may and self._may_begin())

    def _calls(self, slot: Slot) -> None:
        self._let_in, self._busy = self._let_in - 1, self._busy + 1
        slot.is_calling, slot.since = True, _now()

    def _may_begin(self) -> bool:
        """Would a call that begins now end while what we hold is still ours?"""
        ends = self._house.clock.monotonic() + self._lasts / 3
        return self._concurrency is None or ends <= self._good_until

    def _refuse(self) -> None:
        """Those whose own lease leaves no time for a call."""
        now = self._house.clock.monotonic()
        for line in (self._late, self._marked, self._waiting):
            stops = self._is_stopped and line is self._waiting
            for waiting in [each for each in line if stops or each.until < now]:
                line.remove(waiting)
                waiting.slot.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _apart(per_second: float) -> timedelta:
    """The time between two instants, in whole microseconds: never less."""
    return timedelta(microseconds=math.ceil((1 + TOLERANCE) / per_second * 1e6))
