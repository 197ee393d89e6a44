"""A worker: looks when the next message is due, sleeps until shortly before, claims, delivers.

Precision comes from knowing, not from polling. A message is claimed up to 50 ms before its
time, prepared, and handed over at its instant.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from comms.actions.acceptor import WAKE
from comms.actions.house import House
from comms.dispatch.accounts import Accounts
from comms.dispatch.deliver import Pipeline
from comms.dispatch.instants import Instants
from comms.dispatch.record import Recorder
from comms.dispatch.sweep import sweep
from comms.providers.catalogue import Tools
from comms.store import queue
from comms.store.database import connect_once

log = structlog.get_logger()

AHEAD = timedelta(milliseconds=50)
_LONGEST_SLEEP = 1.0
_BATCH = 100
_SWEEP_EVERY = 5.0
_BACK_OFF = 1.0
_MARGIN = timedelta(seconds=2)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


class Worker:
    """One worker; `owner` is its name under every claim."""

    def __init__(self, house: House, tools: Tools) -> None:
        self.owner = UUID(bytes=os.urandom(16), version=4)
        self._house = house
        self._engine = house.database.engine
        self._instants = Instants(house.clock)
        self._accounts = Accounts(tools)
        recorder = Recorder(house, self.owner)
        self._pipeline = Pipeline(house, self.owner, self._accounts, self._instants, recorder)
        self._running: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._wake = asyncio.Event()
        self._floor = _BEGINNING
        self._swept_at = float("-inf")

    async def run(self, stop: asyncio.Event, dsn: str | None = None) -> None:
        """Work until `stop`, then finish what is in flight."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        listening = asyncio.create_task(self._listen(dsn, stop)) if dsn else None
        while not stop.is_set():
            try:
                await self._sweep_sometimes()
                await self._sleep(await self._claim())
            except _AWAY as error:
                log.warning("database_away", problem=type(error).__name__)
                await self._sleep(_BACK_OFF)
        await self.drain()
        for task in (listening, stopping):
            if task is not None:
                task.cancel()
        await self._accounts.close()

    async def once(self) -> int:
        """Claim what is due and see it through; how many. For tests and for the very patient."""
        claims = await self._take(_BATCH)
        if claims:
            await self._pipeline.run(claims, self._lease_ends())
        return len(claims)

    async def drain(self) -> None:
        """Finish what is in flight, as long as a stop may take; the rest is rescued by others."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._house.settings.drain_seconds)

    async def _claim(self) -> float:
        """Claim what is due; seconds until the next look is worth it."""
        free = self._house.settings.worker_concurrency - self._in_flight
        if free <= 0:
            return _LONGEST_SLEEP  # the next one that ends wakes us
        claims = await self._take(min(free, _BATCH))
        if claims:
            self._start(claims, self._lease_ends())
            return 0.0
        return await self._until_next()

    async def _take(self, limit: int) -> list[asyncpg.Record]:
        now, settings = self._house.clock.sql_now(), self._house.settings
        ahead = AHEAD if now is None else timedelta()
        lease = timedelta(seconds=settings.lease_seconds)
        claims = await queue.claim(self._engine, now, ahead, self._floor, limit, self.owner, lease)
        if claims:
            self._instants.observe(claims[0]["clock"])
            self._floor = max(self._floor, claims[0]["due_at"] - _MARGIN)
        return claims

    def _lease_ends(self) -> float:
        """On our own clock, and early: the lease began before its answer arrived."""
        return self._house.clock.monotonic() + self._house.settings.lease_seconds - 1.0

    def _start(self, claims: list[asyncpg.Record], lease_ends: float) -> None:
        self._in_flight += len(claims)
        task = asyncio.create_task(self._see_through(claims, lease_ends))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _see_through(self, claims: list[asyncpg.Record], lease_ends: float) -> None:
        try:
            await self._pipeline.run(claims, lease_ends)
        except _AWAY as error:
            log.warning("batch_left_to_its_lease", problem=type(error).__name__, messages=len(claims))
        finally:
            self._in_flight -= len(claims)
            self._wake.set()

    async def _until_next(self) -> float:
        seen = await queue.peek(self._engine)
        self._instants.observe(seen["clock"])
        if seen["due_at"] is None:
            return _LONGEST_SLEEP
        return min(max(self._instants.until(seen["due_at"] - AHEAD), 0.001), _LONGEST_SLEEP)

    async def _sweep_sometimes(self) -> None:
        now = self._house.clock.monotonic()
        if now - self._swept_at >= _SWEEP_EVERY:
            self._swept_at = now
            self._floor = _BEGINNING  # a bound alone would miss what was committed late
            await sweep(self._house)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()

    async def _listen(self, dsn: str, stop: asyncio.Event) -> None:
        """Hear of sooner work. Where the connection breaks, the look every second does without."""
        while not stop.is_set():
            try:
                connection = await connect_once(dsn, "comms worker")
                await connection.add_listener(WAKE, lambda *_: self._wake.set())
                while not connection.is_closed():  # noqa: ASYNC110 - a broken one says nothing
                    await asyncio.sleep(_LONGEST_SLEEP)
            except _AWAY:
                await asyncio.sleep(_LONGEST_SLEEP)
