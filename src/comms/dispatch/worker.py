"""A worker: looks when the next message is due, sleeps until shortly before, claims, delivers.

Precision comes from knowing, not from polling. A message is claimed up to 50 ms before its
time, prepared, and handed over at its instant.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import structlog

from comms.actions import epochs, retention, zones
from comms.actions.house import House
from comms.dispatch.accounts import Accounts
from comms.dispatch.admission import Admission
from comms.dispatch.canaries import keep_canaries
from comms.dispatch.closer import keep_closing
from comms.dispatch.deliver import Pipeline
from comms.dispatch.emitter import Emitter
from comms.dispatch.instants import Instants
from comms.dispatch.lanes import Lanes
from comms.dispatch.record import Recorder
from comms.dispatch.sweep import sweep
from comms.dispatch.witness import Witness
from comms.providers.kind import Tools
from comms.store import queue, workers
from comms.store.database import AWAY, connect_once

log = structlog.get_logger()

AHEAD = timedelta(milliseconds=50)
_SHORTEST_SLEEP = 0.005  # what is due and can't be claimed is locked by somebody
_LONGEST_SLEEP = 1.0
_BATCH = 100
_ROOM_SECONDS = 0.01
_SWEEP_EVERY = 5.0
_EPOCHS_EVERY = 3600.0
_RETENTION_EVERY = 60.0
_BACK_OFF = 1.0
_SETTLED = 1.0
_MARGIN = timedelta(seconds=2)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SHARE_OF_TIME = 20
"""A look at all that waits takes a twentieth of the time at most, however many dead rows it meets."""


class Worker:
    """One worker; `owner` is its name under every claim. What it `remembers_in` a directory outlives it."""

    def __init__(self, house: House, tools: Tools, remembers_in: Path | None = None) -> None:
        self.owner = UUID(bytes=os.urandom(16), version=4)
        self._house = house
        self._engine = house.database.engine
        self._instants = Instants(house.clock)
        self._accounts = Accounts(tools)
        recorder = Recorder(house, self.owner)
        self._admission = Admission(house, self.owner, self._instants, self._has_room)
        self._lanes = Lanes(house, self._admission, self._instants)
        self._pipeline = Pipeline(
            house, self.owner, self._accounts, self._instants, recorder, self._admission
        )
        self._witness = Witness(house, self.owner, self._pipeline.marks.acknowledged, remembers_in)
        self._emitter = Emitter(house, self.owner)
        self._in_flight: dict[UUID, asyncio.Task[None]] = {}
        self._lease = timedelta(seconds=house.settings.lease_seconds)
        self._report_every = min(1.0, house.settings.lease_seconds / 6)
        self._reported_at = float("-inf")
        self._lines_as_of = -1
        self._heard = asyncio.Event()
        house.metrics.in_flight = self._in_flight.__len__
        self._wanted = 0  # how much room the next claim waits for
        self._wake = asyncio.Event()
        self._floor = _BEGINNING
        self._whole_look_at = float("-inf")
        self._looks_by_lane = False

    async def run(self, stop: asyncio.Event, dsn: str | None = None) -> None:
        """Work until `stop`, then finish what is in flight."""
        house = self._house
        beside = [
            asyncio.create_task(self._sweep_now_and_then()),
            asyncio.create_task(_repeat(partial(epochs.keep, house), _EPOCHS_EVERY, "key_epochs")),
            asyncio.create_task(
                _repeat(partial(retention.keep, house, self.owner), _RETENTION_EVERY, "retention")
            ),
            asyncio.create_task(keep_closing(house, self._emitter.wake)),
            asyncio.create_task(self._emitter.run()),
            asyncio.create_task(keep_canaries(self._house)),
        ]
        reporting = asyncio.create_task(self._report_now_and_then())
        if dsn:
            beside.append(asyncio.create_task(self._listen(dsn)))
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        while not stop.is_set():
            try:
                await self._sleep(await self._claim())
            except Exception as error:  # noqa: BLE001 - the database is away, mostly; a worker goes on whatever it was
                log.warning("claiming_waits", problem=type(error).__name__)
                await self._sleep(_BACK_OFF)
        await self.drain()
        reporting.cancel()  # who has left and reports again has lost its memory, and would say so
        await asyncio.wait([reporting])
        with contextlib.suppress(*AWAY, asyncpg.PostgresError):
            async with asyncio.timeout(_SETTLED):
                await self._admission.settled()
            await workers.leave(self._engine, self.owner)
        for task in (*beside, stopping):
            task.cancel()
        self._witness.close()
        await self._accounts.close()

    async def once(self) -> int:
        """Claim what is due and see it through; how many. For tests and for the very patient."""
        self._lanes.forget()
        claims = await self._take(_BATCH)
        self._start(claims, self._lease_ends())
        await asyncio.gather(*self._in_flight.values())
        await self._admission.settled()
        return len(claims)

    async def drain(self) -> None:
        """Finish what is in flight, as long as a stop may take; the rest is rescued by others."""
        self._admission.slots.stop()
        if self._in_flight:
            await asyncio.wait(self._in_flight.values(), timeout=self._house.settings.drain_seconds)

    async def _claim(self) -> float:
        """Claim what is due; seconds until the next look is worth it."""
        if not await self._room():
            return _LONGEST_SLEEP  # the next one that ends wakes us
        claims = await self._take(min(self._free(), _BATCH))
        if not claims:
            return await self._until_next()
        self._start(claims, self._lease_ends())
        return 0.0

    def _free(self) -> int:
        """What waits for its provider takes no room: how much of that there may be is decided elsewhere."""
        under_way = len(self._in_flight) - self._admission.waiting()
        return self._house.settings.worker_concurrency - under_way

    async def _room(self) -> bool:
        """Wait a moment for room for a whole batch: a claim of one costs as much as one of a hundred."""
        whole = min(_BATCH, self._house.settings.worker_concurrency)
        self._wanted = whole
        if self._free() < whole:
            await self._sleep(_ROOM_SECONDS)
        self._wanted = 0 if self._free() > 0 else 1
        return self._free() > 0

    async def _take(self, limit: int) -> list[queue.Claim]:
        now = self._house.clock.sql_now()
        ahead = AHEAD if now is None else timedelta()
        if self._house.clock.monotonic() - self._reported_at > 2 * self._report_every:
            await self._report()  # no claim is made by a worker for whom nobody would wait
        await self._house.setup.refresh()
        portions = await self._lanes.portions(ahead, limit)
        asked, held, engine = self._house.clock.monotonic(), self._house.setup.held, self._engine
        self._looks_by_lane, beat = portions is not None, self._witness.beat
        if portions is None:
            claims = await queue.claim(
                engine, now, ahead, self._floor, limit, self.owner, self._lease, held, beat
            )
        elif portions:
            claims = await queue.claim_portions(
                engine, now, ahead, limit, self.owner, self._lease, held, beat, portions
            )
        else:
            return []
        self._lanes.claimed(claims, limit)
        if claims:
            self._house.metrics.claimed.add(by=len(claims))
            self._instants.observe(asked, claims[0].clock)
            if portions is None:
                self._floor = max(self._floor, claims[0].due_at - _MARGIN)
        return claims

    async def _report(self) -> None:
        """Say by which set-up we act: a hold waits until each has said so, and for nobody who is silent.

        Its lease outlasts the moment up to which anything may begin under a claim.
        """
        await self._house.setup.refresh()
        now = self._house.clock.monotonic()
        await self._witness.report(self._house.setup.epoch)
        self._reported_at = now

    async def _report_now_and_then(self) -> None:
        """And at once where set-up has changed. Apart from the claiming, which may have no room for long."""
        while True:
            self._heard.clear()
            try:
                await self._report()
                await self._keep_lines()
            except Exception as error:  # noqa: BLE001 - as for claims: it is repeated
                log.warning("report_waits", problem=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._report_every):
                    await self._heard.wait()

    async def _keep_lines(self) -> None:
        """What people answer is heard while nothing is sent, too."""
        epoch = self._house.setup.epoch
        if epoch != self._lines_as_of:
            self._accounts.listen(await self._house.setup.listeners())
            self._lines_as_of = epoch

    def _lease_ends(self) -> float:
        """On our own clock, and early: the lease began before its answer arrived."""
        return self._house.clock.monotonic() + self._house.settings.lease_seconds - 1.0

    def _start(self, claims: list[queue.Claim], lease_ends: float) -> None:
        for claim in claims:
            task = asyncio.create_task(self._pipeline.deliver(claim, lease_ends))
            self._in_flight[claim.id] = task
            task.add_done_callback(partial(self._ended, claim.id))

    def _ended(self, message_id: UUID, task: asyncio.Task[None]) -> None:
        del self._in_flight[message_id]
        self._admission.arrived(message_id)
        if 0 < self._wanted <= self._free():
            self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("delivery_broke_off", message_id=str(message_id), problem=type(error).__name__)

    def _has_room(self, room: Hashable) -> None:
        if self._lanes.is_blocked(room):
            self._wake.set()

    async def _until_next(self) -> float:
        if self._witness.is_paused:
            return _LONGEST_SLEEP
        if self._looks_by_lane:
            return self._soon(self._lanes.until_next())
        seen = await self._peek()
        return self._soon(self._instants.until(seen) if seen else None)

    async def _peek(self) -> datetime | None:
        """The next due time. From the beginning, since something may be accepted for a time that has passed.

        Where the beginning is full of dead rows, because somebody holds a snapshot, that takes long: it may
        take a part of the time, and the other looks begin where claims do.
        """
        monotonic = self._house.clock.monotonic
        asked = monotonic()
        is_whole = asked >= self._whole_look_at
        floor = _BEGINNING if is_whole else self._floor
        seen = await queue.peek(self._engine, self._house.setup.held, floor)
        self._instants.observe(asked, seen["clock"])
        due_at: datetime | None = seen["due_at"]
        if is_whole:
            answered = monotonic()
            self._whole_look_at = answered + _SHARE_OF_TIME * (answered - asked)
            self._floor = min(due_at or seen["clock"], seen["clock"]) - _MARGIN
        return due_at

    def _soon(self, seconds: float | None) -> float:
        """How long to sleep where the next message is due in so many seconds."""
        if seconds is None:
            return _LONGEST_SLEEP
        return min(max(seconds - AHEAD.total_seconds(), _SHORTEST_SLEEP), _LONGEST_SLEEP)

    async def _sweep_now_and_then(self) -> None:
        """Apart from the claiming: after an outage a sweep takes a while."""
        zones_are_kept = False
        while True:
            try:
                self._floor = _BEGINNING  # a bound alone would miss what was committed late
                await sweep(self._house, ours=self._in_flight)
                if not zones_are_kept:
                    await zones.keep_promises(self._house)
                    zones_are_kept = True
            except Exception as error:  # noqa: BLE001 - as above: a sweep that fails is repeated
                log.warning("sweep_waits", problem=type(error).__name__)
            await asyncio.sleep(_SWEEP_EVERY)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()

    def _hear(self, *_: object) -> None:
        """Sooner work, or another set-up."""
        self._house.setup.doubt()
        self._lanes.doubt()
        self._heard.set()
        self._wake.set()

    async def _listen(self, dsn: str) -> None:
        """Hear of sooner work. Where the connection breaks, the look every second does without."""
        while True:
            try:
                connection = await connect_once(dsn, "comms worker")
                await connection.add_listener(workers.WAKE, self._hear)
                while not connection.is_closed():  # noqa: ASYNC110 - a broken one says nothing
                    await asyncio.sleep(_LONGEST_SLEEP)
            except (*AWAY, asyncpg.PostgresError):
                await asyncio.sleep(_LONGEST_SLEEP)


async def _repeat(work: Callable[[], Awaitable[object]], every: float, name: str) -> None:
    """Apart from all else: what is done now and then may take minutes."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - as for claims: it is repeated
            log.warning("upkeep_waits", work=name, problem=type(error).__name__)
        await asyncio.sleep(every)
