"""Who waits for a person's inbox to change: woken by the database, on one connection a process.

Everybody is woken now and then without a cause as well: where the connection was away for a while,
where set-up or tokens have changed, and where this process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from comms.actions.setup import Setup
from comms.store.database import AWAY, Connection, Database, connect_once
from comms.store.items import BELL

_LOOK_SECONDS = 0.25
_BACK_OFF = 1.0


class Doorbell:
    """One a process. It listens for as long as anybody waits; `ends` is set when the process does."""

    def __init__(self, database: Database, setup: Setup, ends: asyncio.Event) -> None:
        self._database = database
        self._setup = setup
        self._ends = ends
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None

    @contextmanager
    def waiting(self, person_hash: bytes) -> Iterator[asyncio.Event]:
        """An event that is set whenever it is worth looking again; who looks clears it before."""
        bell, name = asyncio.Event(), person_hash.hex()
        self._waiting.setdefault(name, set()).add(bell)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        try:
            yield bell
        finally:
            self._waiting[name].discard(bell)
            if not self._waiting[name]:
                del self._waiting[name]
            if not self._waiting and self._listening is not None:
                self._listening.cancel()
                self._listening = None

    async def _listen(self) -> None:
        while True:
            try:
                connection = await connect_once(self._database.dsn, "comms inbox")
                try:
                    await connection.add_listener(BELL, self._hear)
                    self._wake_all()
                    await self._look(connection)
                finally:
                    connection.terminate()
            except (*AWAY, asyncpg.PostgresError):
                await asyncio.sleep(_BACK_OFF)

    async def _look(self, connection: Connection) -> None:
        """Until the connection breaks: has set-up changed, and do we end?"""
        epoch = self._setup.epoch
        while not connection.is_closed():
            await asyncio.sleep(_LOOK_SECONDS)
            await self._setup.refresh()
            if self._setup.epoch != epoch or self._ends.is_set():
                epoch = self._setup.epoch
                self._wake_all()

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for name in str(payload).split(","):
            for bell in self._waiting.get(name, ()):
                bell.set()

    def _wake_all(self) -> None:
        for bells in self._waiting.values():
            for bell in bells:
                bell.set()
