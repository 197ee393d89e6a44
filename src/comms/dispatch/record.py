"""What an attempt came to: one event of the life cycle for each message, written in groups.

Nothing that may fail stands between a provider's answer and its record. Where the database is
away the record is repeated as long as the lease lasts: it is fenced, so twice is once.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.actions.house import House
from comms.dispatch.work import Answer, Delivery, Work
from comms.domain.retry import delay
from comms.gather import Gather
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.store import queue

_OUTCOMES: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Rejected: "rejected",
    TryLater: "try_later",
    Misconfigured: "misconfigured",
    Lost: "lost",
}
_AGAIN = 0.25

Ending = queue.Finished | queue.Waiting | queue.Unknown


class _Entry(NamedTuple):
    ended: list[queue.Ended]
    ending: Ending


class Recorder:
    """Writes endings in groups, one transaction each."""

    def __init__(self, house: House, owner: UUID) -> None:
        self._house = house
        self._owner = owner
        self._groups: Gather[_Entry, bool] = Gather(self._write, largest=200)

    async def record(self, work: Work) -> bool:
        """False where the message was not ours any more: whoever took it over decides."""
        if work.deliveries and all(each.outcome is None for each in work.deliveries):
            return False  # the fence closed before the call: the lease's end gives it to another
        ended = [_ended(work, each) for each in work.deliveries if each.outcome is not None]
        return await self._submit(_Entry(ended, ending(work, random.random())), work.lease_ends)

    async def put_back(self, claim: asyncpg.Record, lease_ends: float) -> bool:
        """A claim that could not be prepared waits for its next attempt; max_late ends it at last."""
        wait = timedelta(seconds=delay(claim["attempt"], random.random()))
        key = (claim["bucket"], claim["id"], claim["attempt"])
        entry = _Entry([], queue.Waiting(*key, "retry", "not_prepared", wait, None))
        return await self._submit(entry, lease_ends)

    async def _submit(self, entry: _Entry, lease_ends: float) -> bool:
        while True:
            try:
                return await self._groups.submit(entry)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if self._house.clock.monotonic() > lease_ends:
                    return False
                await asyncio.sleep(_AGAIN)

    async def _write(self, group: list[_Entry]) -> list[bool | Exception]:
        now, owner = self._house.clock.sql_now(), self._owner
        endings = [entry.ending for entry in group]
        recorded: set[UUID] = set()
        async with self._house.database.engine.acquire() as connection, connection.transaction():
            if ended := [each for entry in group for each in entry.ended]:
                await queue.end_deliveries(connection, now, ended)
            if finished := [each for each in endings if isinstance(each, queue.Finished)]:
                recorded |= await queue.finish(connection, owner, now, finished)
            if waiting := [each for each in endings if isinstance(each, queue.Waiting)]:
                recorded |= await queue.wait_again(connection, owner, now, waiting)
            if unknown := [each for each in endings if isinstance(each, queue.Unknown)]:
                recorded |= await queue.lose(connection, owner, now, unknown)
        return [each.id in recorded for each in endings]


def ending(work: Work, chance: float) -> Ending:
    """The event that follows from the verdict, or from what the provider said. `chance` spreads retries."""
    if work.verdict.verdict == "expire":
        return _finished(work, "expire", "expired", None)
    if work.verdict.verdict == "wait":
        return _waiting(work, "defer", work.verdict.rule, delay(work.attempt, chance))
    answers = work.answers()
    if any(each.outcome is None for each in work.deliveries):
        return _waiting(work, "retry", "lease_over", delay(work.attempt, chance))
    if not answers:
        return _finished(work, "reject", "no_device", None)
    return _answered(work, min(answers, key=lambda answer: _weight(work, answer.outcome)), chance)


def _weight(work: Work, outcome: Outcome) -> int:
    """Of several deliveries decides: what may still go, then what nobody knows, then what was taken."""
    match outcome:
        case Lost() if work.on_unknown == "prefer_silence":
            return 1
        case Accepted():
            return 2
        case Rejected():
            return 3
    return 0


def _answered(work: Work, answer: Answer, chance: float) -> Ending:
    outcome, provider_id = answer
    match outcome:
        case Accepted():
            return _finished(work, "accept", None, provider_id)
        case Rejected(reason):
            return _finished(work, "reject", f"provider_rejected: {reason}", provider_id)
        case Lost(reason) if work.on_unknown == "prefer_silence":
            return queue.Unknown(
                work.claim["bucket"], work.id, work.attempt, reason, provider_id, work.decision()
            )
        case TryLater(reason) | Lost(reason) | Misconfigured(reason):
            return _waiting(
                work, "retry", reason, delay(work.attempt, chance, getattr(outcome, "after", None))
            )


def _finished(work: Work, event: str, reason: str | None, provider_id: str | None) -> queue.Finished:
    claim = work.claim
    return queue.Finished(claim["bucket"], work.id, work.attempt, event, reason, provider_id, work.decision())


def _waiting(work: Work, event: str, reason: str, seconds: float) -> queue.Waiting:
    wait = timedelta(seconds=seconds)
    return queue.Waiting(work.claim["bucket"], work.id, work.attempt, event, reason, wait, work.decision())


def _ended(work: Work, delivery: Delivery) -> queue.Ended:
    outcome = delivery.outcome
    assert outcome is not None  # noqa: S101 - record() has looked
    assert delivery.account is not None  # noqa: S101 - an outcome is some account's
    return queue.Ended(
        work.claim["bucket"],
        work.id,
        delivery.n,
        work.attempt,
        _OUTCOMES[type(outcome)],
        getattr(outcome, "reason", None),
        getattr(outcome, "reference", None),
        delivery.account.provider_id,
    )
