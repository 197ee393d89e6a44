"""Tells others what happened: takes feeds that have something to do, and calls their receivers.

The ledger is the outbox: what is told was written in the transaction in which it happened, and a feed
is a place in it. A worker leases a feed, calls, and records how far it came; where it dies between the
two, another calls again, with the same ids. No transaction and no connection is held meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import structlog

from comms.actions.house import House
from comms.actions.subscriptions import event_id, keys_at
from comms.dispatch.round import Round, Tried, Waiting
from comms.domain import webhooks
from comms.domain.retry import delay
from comms.domain.webhooks import Entry
from comms.providers.outward import Said
from comms.store import subscriptions as rows

log = structlog.get_logger()

_FEEDS = 100
"""At a time, in one worker."""

_BATCH = 64
_STRETCH = 100_000
"""Entries of the ledger that are looked through for a feed at a time."""

_EVERY = 1.0
_LEASE = timedelta(seconds=90)
"""Longer than a round: 30 s until the last call begins, 15 s until it ends."""


class _Feed:
    """A leased feed, and how far it has come."""

    def __init__(self, row: asyncpg.Record) -> None:
        self.row = row
        self.position: int = row["position"]
        self.ends_at: int = min(row["closed"], row["ends_at"] or row["closed"])
        self.waiting = msgspec.convert(row["waiting"], list[Waiting])
        self.failures: int = row["failures"]
        self.words = webhooks.words(row["events"])

    @property
    def room(self) -> int:
        """How many new events it may try."""
        return min(_BATCH, rows.MOST_WAITING - len(self.waiting))


class Emitter:
    """One a worker; `owner` is its name on what it leases."""

    def __init__(self, house: House, owner: UUID) -> None:
        self._house = house
        self._owner = owner
        self._engine = house.database.engine
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._heard = asyncio.Event()

    def wake(self) -> None:
        """There is something new to be told."""
        self._heard.set()

    async def run(self) -> None:
        """Until cancelled; what is under way then is told again by another worker."""
        try:
            while True:
                self._heard.clear()
                try:
                    await self._look()
                except Exception as error:  # noqa: BLE001 - the database is away, mostly: it is repeated
                    log.warning("telling_waits", problem=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY):
                        await self._heard.wait()
        finally:
            for task in self._busy.values():
                task.cancel()

    async def once(self) -> int:
        """Take what there is to do and see it through; how many feeds. For tests."""
        taken = await self._look()
        await asyncio.gather(*self._busy.values())
        return taken

    async def _look(self) -> int:
        free, now = _FEEDS - len(self._busy), self._house.clock.sql_now()
        if free <= 0:
            return 0
        taken = await rows.lease(self._engine, now, self._owner, _LEASE, free)
        for row in taken:
            task = asyncio.create_task(self._serve(_Feed(row)))
            self._busy[row["feed_id"]] = task
            task.add_done_callback(partial(self._ended, row["feed_id"]))
        return len(taken)

    def _ended(self, feed_id: UUID, task: asyncio.Task[None]) -> None:
        del self._busy[feed_id]
        if not task.cancelled() and (error := task.exception()):
            log.warning("telling_broke_off", feed_id=str(feed_id), problem=type(error).__name__)

    async def _serve(self, feed: _Feed) -> None:
        """Round after round, as long as there are new events and they are taken."""
        goes_on = True
        while goes_on:
            now = self._house.clock.now()
            tried = await self._tried(feed, now.timestamp())
            made = Round(partial(self._call, feed), now.timestamp(), self._house.clock.monotonic)
            await made.go(tried, carefully=feed.failures > 0)
            goes_on = made.refused == 0 and feed.position < feed.ends_at and feed.room > 0
            goes_on = await self._record(feed, made, now, goes_on=goes_on) and goes_on

    async def _tried(self, feed: _Feed, now: float) -> list[Tried]:
        """What waits and is due, and new events, which wait behind those of their message."""
        due = {each.n: each for each in feed.waiting if each.retry <= now}
        feed.waiting = [each for each in feed.waiting if each.n not in due]
        tried = []
        if due:
            again = await rows.again(self._engine, feed.row["brand_id"], list(due))
            tried = [Tried(entry, due[entry.n]) for entry in again]
        held = {each.message_id: each.retry for each in feed.waiting if each.message_id}
        for each in await self._news(feed):
            message_id = str(each.message_id)
            if message_id in held:
                feed.waiting.append(Waiting(each.n, message_id, 0, now, held[message_id]))
            else:
                tried.append(Tried(each, None))
        return tried

    async def _news(self, feed: _Feed) -> list[Entry]:
        limit, row = feed.room, feed.row
        if limit <= 0 or feed.position >= feed.ends_at:
            return []
        stretch = (feed.position, min(feed.ends_at, feed.position + _STRETCH))
        span = (row["since"], row["until"])
        found = await rows.news(self._engine, row["brand_id"], stretch, feed.words, span, limit)
        feed.position = found[-1].n if len(found) == limit else stretch[1]
        return found

    async def _call(self, feed: _Feed, entry: Entry) -> Said:
        row, now = feed.row, self._house.clock.now()
        body = webhooks.body(row["brand_id"], entry)
        brand = await self._house.setup.require_brand(row["brand_id"])
        keys = keys_at(brand, row["subscription_id"], row["secrets"], now)
        said = await self._house.outward.post(
            row["url"], body, webhooks.headers(keys, event_id(brand, entry.n), now, body)
        )
        self._house.metrics.events.add("taken" if said.is_taken else "not_taken")
        return said

    async def _record(self, feed: _Feed, made: Round, now: datetime, *, goes_on: bool) -> bool:
        feed.waiting = sorted([*feed.waiting, *made.waiting], key=lambda each: each.n)
        feed.failures = _failures(feed.failures, made)
        rest = max(delay(feed.failures, random.random()), made.after) if feed.failures else made.after
        come = rows.Come(
            feed_id=feed.row["feed_id"],
            owner=self._owner,
            position=feed.position,
            waiting=[msgspec.to_builtins(each) for each in feed.waiting],
            retry_at=_instant(min((each.retry for each in feed.waiting), default=None)),
            failures=feed.failures,
            rest_until=now + timedelta(seconds=rest) if rest else None,
            goes_on=goes_on,
            lease=_LEASE,
            is_taken=made.taken > 0,
            problem=made.problem if made.refused else None,
            missed=made.missed,
        )
        self._house.metrics.events.add("missed", by=made.missed)
        is_ours = await rows.record(self._engine, self._house.clock.sql_now(), come)
        if is_ours and made.is_gone:
            await rows.disable(self._engine, self._house.clock.sql_now(), feed.row["subscription_id"])
        return is_ours and not made.is_gone


def _failures(before: int, made: Round) -> int:
    """Rounds in a row that took nothing; one that only tried again what was refused says nothing new."""
    if made.taken:
        return 0
    return before + made.is_new_refused


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
