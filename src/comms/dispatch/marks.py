"""The durable mark between claimed and being handed over, written in groups.

With the mark goes the message's place under its person's caps: both are written, or neither.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple
from uuid import UUID

from comms.actions.house import House
from comms.dispatch.judge import Crowded, take
from comms.gather import Gather
from comms.store import caps, queue
from comms.store.database import Connection, Pool
from comms.store.history import Mark


class Handover(NamedTuple):
    """A message's deliveries that are about to be handed over, and the place that it needs."""

    marks: list[queue.Mark]
    place: caps.Reserved | None = None

    @property
    def key(self) -> tuple[UUID, int]:
        """One of them stands for all."""
        return self.marks[0].message_id, self.marks[0].n


class Marks:
    """Writes marks for one worker."""

    def __init__(self, house: House, owner: UUID) -> None:
        self._house = house
        self._owner = owner
        self._groups: Gather[Handover, bool] = Gather(self._write, largest=100)
        self.acknowledged: deque[Mark] = deque(maxlen=4 * house.settings.worker_concurrency)
        """One of each group that is known to be written: after a fail-over they must still be there."""

    async def submit(self, handover: Handover) -> bool:
        """False where the message is not ours any more; `Crowded` where its place is another's by now."""
        return await self._groups.submit(handover)

    async def _write(self, group: list[Handover]) -> list[bool | Exception]:
        """A message's marks are written together: half of them would be a message of half its devices."""
        engine, places = self._house.database.engine, [each.place for each in group]
        if not any(places):
            ours = await self._freeze(engine, group)
            self._remember(group, ours)
            return [each.key in ours for each in group]
        async with engine.acquire() as connection, connection.transaction():
            has_place = await take(connection, places)
            ours = await self._freeze(connection, [g for g, has in zip(group, has_place, strict=True) if has])
        self._remember(group, ours)
        return [each.key in ours if has else Crowded() for each, has in zip(group, has_place, strict=True)]

    def _remember(self, group: list[Handover], ours: set[tuple[UUID, int]]) -> None:
        """A group is written whole or not at all: one of its marks tells of all."""
        written = next((each.marks[0] for each in group if each.key in ours), None)
        if written:
            key = (written.bucket, written.message_id, written.n)
            self.acknowledged.append(Mark(*key, written.attempt))

    async def _freeze(self, connection: Connection | Pool, group: list[Handover]) -> set[tuple[UUID, int]]:
        marks = [mark for each in group for mark in each.marks]
        now = self._house.clock.sql_now()
        return await queue.freeze(connection, self._owner, now, marks) if marks else set()
