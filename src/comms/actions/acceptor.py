"""The door through which messages are accepted: in groups, under the epoch that they were checked in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import asyncpg

from comms.clock import Clock
from comms.gather import Gather
from comms.store import workers
from comms.store.database import AWAY, BAD_DATA, Connection, Database
from comms.store.messages import NewMessage, accept

_LARGEST = 256
_WRITERS = 2
_LARGEST_BULK = 512
_BULK_WRITERS = 1
_SOON = timedelta(seconds=1.5)
"""Workers look at the queue every second by themselves: only what is due sooner wakes them."""


class _Checked(NamedTuple):
    row: NewMessage
    epoch: int


class Acceptor:
    """Writes rows together; tells each whether it is new."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._groups = Gather(self._write, _LARGEST, _WRITERS)
        self._bulk = Gather(self._write, _LARGEST_BULK, _BULK_WRITERS)
        self._alone = asyncio.Semaphore(_WRITERS)
        self._waking: asyncio.Task[None] | None = None
        self._wake_again = False

    async def submit(self, row: NewMessage, epoch: int, *, bulk: bool = False) -> bool:
        """True where the row was written, False where its key is taken; `SetupMoved` where neither.

        Rows of a batch (`bulk`) queue up by themselves: a single request never waits behind them.
        """
        groups = self._bulk if bulk else self._groups
        return await groups.submit(_Checked(row, epoch))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """A transaction for one message that is accepted together with something else; few at a time."""
        async with self._alone, self._database.engine.acquire() as connection, connection.transaction():
            yield connection

    def wake(self) -> None:
        """Tell workers to look again. One notice is under way at a time: they queue up behind a lock.

        What was committed while one was under way may have come too late for it: another follows.
        """
        self._wake_again = True
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._notify())

    async def _write(self, group: list[_Checked]) -> list[bool | Exception]:
        try:
            new = await accept(
                self._database.engine,
                min(each.epoch for each in group),
                [each.row for each in group],
                self._clock.sql_now(),
            )
        except BAD_DATA as error:
            return [error] if len(group) == 1 else await self._halve(group)
        if any(each.row.scheduled_at < self._clock.now() + _SOON for each in group):
            self.wake()
        return [each.row.id in new for each in group]

    async def _halve(self, group: list[_Checked]) -> list[bool | Exception]:
        """A row that PostgreSQL refuses must not take the others with it."""
        middle = len(group) // 2
        return await self._write(group[:middle]) + await self._write(group[middle:])

    async def _notify(self) -> None:
        while self._wake_again:
            self._wake_again = False
            try:
                await workers.wake(self._database.engine)
            except (*AWAY, asyncpg.PostgresError):
                return  # workers look again within a second
