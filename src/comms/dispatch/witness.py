"""What this worker saw acknowledged, held against what the database says now.

What survives of a database's history is a beginning of it: whoever finds the last that it saw acknowledged
finds all that went before, its own and others'. So a worker remembers little: how often it has reported, and
its last marks. Where they are not there, commits were lost, and messages that were sent look as if they were
not: sending is paused for all workers until an operator resumes.

Each report compares, and each claim: it takes nothing where the worker's last report is not known. In another
history (a promoted standby, a restore to a point in time, a dump in a new cluster) nothing is claimed until
somebody who remembers has found it all there, and so has every worker that is known, or a lease has gone by.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import structlog

from comms.actions.house import House
from comms.dispatch.keepsake import Keepsake, Memory
from comms.store import history as rows
from comms.store import workers
from comms.store.workers import Reported

log = structlog.get_logger()

_REMEMBERED = 1800.0
"""Seconds. A worker that was silent for an hour is forgotten: that its row is gone says nothing then."""


class Witness:
    """One worker's memory; `marks` are its last ones, `directory` is where it is kept over its death."""

    def __init__(
        self, house: House, owner: UUID, marks: deque[rows.Mark], directory: Path | None = None
    ) -> None:
        self.beat = 0
        """The last report that was acknowledged."""
        self.is_paused = False
        """Nothing can be claimed, as far as the last report knew."""
        self._house = house
        self._owner = owner
        self._marks = marks
        self._directory = directory
        self._lease = timedelta(seconds=house.settings.lease_seconds)
        self._beaten_at = float("-inf")
        self._history: str | None = None
        self._vouches = False
        self._keepsake: Keepsake | None = None
        self._reason: str | None = None
        self._turn = asyncio.Lock()

    async def report(self, epoch: int) -> None:
        """Say that we live and by which set-up we act, and compare. One at a time: they are counted."""
        async with self._turn:
            await self._report_and_compare(epoch)

    async def _report_and_compare(self, epoch: int) -> None:
        if self._directory and self._keepsake is None:
            self._keepsake = await self._recall(self._directory)
        asked = self._house.clock.monotonic()
        witness_id = self._keepsake.take() if self._keepsake else None
        said = await self._compare(await self._report(epoch, witness_id), asked)
        if said.history != said.cleared:
            said = await self._in_another(said, epoch, witness_id)
        if said.history == said.cleared:
            self._history, self._vouches = said.history, True
        self._tell(said)
        if (
            self._keepsake and witness_id and said.kept and not self.is_paused
        ):  # else the most that is known stays
            self._keepsake.write(Memory(witness_id, said.kept, said.resumed_at))

    def close(self) -> None:
        """Another process of the directory may speak for it."""
        if self._keepsake:
            self._keepsake.close()

    async def _report(self, epoch: int, witness_id: UUID | None) -> Reported:
        return await workers.report(
            self._house.database.engine,
            self._owner,
            epoch,
            self._lease,
            self._history,
            witness_id,
            vouches=self._vouches,
            public_url=self._house.settings.public_url,
        )

    async def _recall(self, directory: Path) -> Keepsake:
        """What an earlier process in this directory remembers must be there; then it speaks through us."""
        stands = await rows.state(self._house.database.engine)
        keepsake = Keepsake(directory, stands.installation_id)
        kept = keepsake.read()
        if kept and kept.resumed_at >= stands.resumed_at:
            beat = await rows.witnessed(self._house.database.engine, kept.witness_id)
            if (stands.resumed_at, beat) < (kept.resumed_at, kept.beat):
                await self._pause(rows.COMMITS_LOST)
            else:
                self._vouches = True
        return keepsake

    async def _compare(self, said: Reported, asked: float) -> Reported:
        if said.beat <= self.beat and asked - self._beaten_at < _REMEMBERED:
            said = said._replace(paused_reason=await self._pause(rows.COMMITS_LOST))
        self.beat, self._beaten_at = said.beat, asked
        return said

    async def _in_another(self, said: Reported, epoch: int, witness_id: UUID | None) -> Reported:
        """Find what we remember, say so, and go on once everybody has; the report as it is then."""
        owner = self._house.database.owner
        await rows.notice(owner, said.history)
        if self._history != said.history:
            if await rows.missing(self._house.database.engine, list(self._marks)):
                await self._pause(rows.COMMITS_LOST)
            self._history = said.history
            said = await self._report(epoch, witness_id)
            self.beat = said.beat
            self._marks.clear()
        if await rows.clear(owner, said.history, self._lease):
            log.info("history_vouched_for", history=said.history)
            return said._replace(cleared=said.history)
        if await rows.is_unvouched(owner, said.history, self._lease):
            said = said._replace(paused_reason=await self._pause(rows.NOBODY_REMEMBERS))
        return said

    async def _pause(self, reason: str) -> str:
        await rows.pause(self._house.database.owner, reason, self._house.clock.sql_now())
        return reason

    def _tell(self, said: Reported) -> None:
        if said.paused_reason is None and self._reason:
            log.info("sending_resumed")
        elif said.paused_reason and not self._reason:
            log.error("sending_paused", reason=said.paused_reason, advice="comms doctor says what to do")
        self._reason = said.paused_reason
        self.is_paused = said.paused_reason is not None or said.history != said.cleared
