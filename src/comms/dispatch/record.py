"""What an attempt came to: one event of the life cycle for each message, written in groups.

Nothing that may fail stands between a provider's answer and its record. Where the database is
away the record is repeated until it is written or the worker ends: it is fenced, so twice is once,
and an answer is worth more than the guess of whoever took the message over meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from comms.actions import events
from comms.actions.devices import identify
from comms.actions.house import House
from comms.actions.suppressions import suppression
from comms.dispatch.work import NO_PROVIDER, WORDS, Delivery, Work
from comms.domain.outcome import Standing, event, goes_on
from comms.domain.retry import delay
from comms.gather import Gather
from comms.providers.base import Accepted, Rejected
from comms.store import caps, deferral, devices, queue, suppressions
from comms.store import events as rows
from comms.store.database import AWAY, BAD_DATA, Connection, Pool

log = structlog.get_logger()

_PAUSES = (0.25, 0.5, 1.0, 2.0)
_LONGEST = 200
_UNPRINTABLE = re.compile(r"[^ -~]+")

Ending = queue.Finished | queue.Waiting | queue.Unknown | deferral.Deferred
_MAY_BE_TAKEN = {Standing.TAKEN, Standing.ASK, Standing.REPEAT, Standing.DOUBT}


class _Entry(NamedTuple):
    answers: list[queue.Ended]
    ending: Ending
    bounced: suppressions.NewSuppression | None = None
    dead: tuple[devices.Dead, ...] = ()
    references: tuple[rows.Reference, ...] = ()
    released: caps.Released | None = None


class Recorder:
    """Writes endings in groups, one transaction each."""

    def __init__(self, house: House, owner: UUID) -> None:
        self._house = house
        self._owner = owner
        self._groups: Gather[_Entry, bool] = Gather(self._write, largest=200)

    async def record(self, work: Work) -> bool:
        """False where the message was not ours any more: whoever took it over decides."""
        answers = [_answer(work, each) for each in work.deliveries if each.outcome is not None]
        bounced = _bounced(work, self._house.clock.now())
        event = ending(work, random.random())
        more = (_dead(work), _references(work), _released(work))
        return await self._submit(_Entry(answers, event, bounced, *more))

    async def put_back(self, claim: queue.Claim) -> bool:
        """A claim that could not be prepared waits for its next attempt; max_late ends it at last."""
        wait = timedelta(seconds=delay(claim.tries, random.random()))
        key = (claim.bucket, claim.id, claim.attempt)
        return await self._submit(_Entry([], queue.Waiting(*key, "retry", "not_prepared", wait, None)))

    async def _submit(self, entry: _Entry) -> bool:
        for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
            try:
                return await self._groups.submit(entry)
            except BAD_DATA as error:
                log.error("not_recorded", message_id=str(entry.ending.id), problem=type(error).__name__)
                return False
            except (*AWAY, asyncpg.PostgresError) as error:
                log.warning("record_waits", message_id=str(entry.ending.id), problem=type(error).__name__)
                await asyncio.sleep(pause)
        raise AssertionError  # the pauses never end

    async def _write(self, group: list[_Entry]) -> list[bool | Exception]:
        try:
            return await self._write_together(group)
        except BAD_DATA as error:  # one that can't be written must not take the others' answers with it
            if len(group) == 1:
                return [error]
            middle = len(group) // 2
            return await self._write(group[:middle]) + await self._write(group[middle:])

    async def _write_together(self, group: list[_Entry]) -> list[bool | Exception]:
        """A statement a kind of ending; where they all end alike, as mostly, that is the transaction."""
        by_kind: dict[type[Ending], list[_Entry]] = {}
        for entry in group:
            by_kind.setdefault(type(entry.ending), []).append(entry)
        engine = self._house.database.engine
        if len(by_kind) == 1 and not any(map(_has_more, group)):
            recorded = await self._write_kind(engine, group)
        else:
            async with engine.acquire() as connection, connection.transaction():
                recorded = {
                    each for alike in by_kind.values() for each in await self._write_kind(connection, alike)
                }
                await self._write_more(connection, [each for each in group if each.ending.id in recorded])
                await self._write_heard(connection, group)
        for entry in group:
            if entry.ending.id in recorded:
                self._house.metrics.ended.add(_shown(entry.ending))
        return [entry.ending.id in recorded for entry in group]

    async def _write_more(self, connection: Connection, group: list[_Entry]) -> None:
        """Who is not there is not written to again: an address is suppressed, a device forgotten."""
        now = self._house.clock.now()
        if bounced := [entry.bounced for entry in group if entry.bounced]:
            await suppressions.add(connection, bounced, now)
        if dead := [device for entry in group for device in entry.dead]:
            await devices.forget(connection, dead, now)
        if released := [entry.released for entry in group if entry.released]:
            await caps.release(connection, released)

    async def _write_heard(self, connection: Connection, group: list[_Entry]) -> None:
        """What a provider took is found by its name. What is unknown may have been heard of meanwhile."""
        if references := [each for entry in group for each in entry.references]:
            await rows.refer(connection, references)
        lost = [each.ending for each in group if isinstance(each.ending, queue.Unknown)]
        if lost:
            await events.settle(self._house, connection, [(each.bucket, each.id) for each in lost])

    async def _write_kind(self, connection: Connection | Pool, alike: list[_Entry]) -> set[UUID]:
        endings = [entry.ending for entry in alike]
        answers = [answer for entry in alike for answer in entry.answers]
        write = _WRITES[type(endings[0])]
        return await write(connection, self._owner, self._house.clock.sql_now(), endings, answers)


_WRITES: dict[type[Ending], Callable[..., Awaitable[set[UUID]]]] = {
    queue.Finished: queue.finish,
    queue.Waiting: queue.wait_again,
    queue.Unknown: queue.lose,
    deferral.Deferred: deferral.defer,
}


def _has_more(entry: _Entry) -> bool:
    """Is there more to write than the ending?"""
    more = (entry.bounced, entry.dead, entry.references, entry.released)
    return any(more) or isinstance(entry.ending, queue.Unknown)


_SHOWN = {
    "accept": "sent",
    "reject": "failed",
    "suppress": "suppressed",
    "expire": "expired",
    "retry": "retried",
    "defer": "deferred",
    "hold": "held",
}


def _shown(ending: Ending) -> str:
    """The event as the timeline has it."""
    match ending:
        case queue.Unknown():
            return "unknown"
        case deferral.Deferred():
            return "deferred"
    return _SHOWN[ending.event]


def ending(work: Work, chance: float) -> Ending:
    """The event that follows from the verdict and from what providers said. `chance` spreads retries."""
    if work.verdict.verdict in {"defer", "wait"}:
        return _deferred(work, chance)
    standings = [work.standing(each) for each in work.deliveries]
    match event(standings, stopped=None if work.verdict.verdict == "send" else work.verdict.verdict):
        case "retry":
            return _put_off(work, chance) or _again(work, chance)
        case "lose":
            each = _first(work, Standing.DOUBT, Standing.ASK, Standing.REPEAT)
            reason = each.reason if each and each.answer == "lost" and each.reason else "answer_lost"
            provider_id = (each.provider_id if each else None) or ""
            key = (work.claim.bucket, work.id, work.attempt)
            return queue.Unknown(*key, reason, provider_id, work.decision())
        case "accept":
            return _finished(work, "accept", None, _first(work, Standing.TAKEN))
        case "expire" | "suppress" as ends:
            return _finished(work, ends, "expired" if ends == "expire" else work.verdict.rule, None)
    refused = _first(work, Standing.REFUSED)
    return _finished(work, "reject", _why_refused(refused), refused)


def _why_refused(refused: Delivery | None) -> str:
    if refused is None:
        return "no_device"
    return NO_PROVIDER if refused.reason == NO_PROVIDER else f"provider_rejected: {_clean(refused.reason)}"


def _bounced(work: Work, now: datetime) -> suppressions.NewSuppression | None:
    """What a server says of a mailbox holds for the next message to it."""
    outcome = next((each.outcome for each in work.deliveries), None)
    if work.claim.channel == "email" and isinstance(outcome, Rejected) and outcome.bad_recipient:
        source = f"message {work.id}"
        return suppression(work.brand, "email", work.recipient, "hard_bounce", source, now)
    return None


def _dead(work: Work) -> tuple[devices.Dead, ...]:
    """Devices that a push service no longer knows; those that were registered meanwhile stay."""
    return tuple(
        devices.Dead(
            identify(work.brand, each.recipient),
            work.brand.brand_id,
            each.outcome.since or work.facts.now,
            work.claim.bucket,
            work.id,
            {"attempt": work.attempt, "provider_id": each.provider_id, "reason": _clean(each.reason)},
        )
        for each in work.deliveries
        if each.device and isinstance(each.outcome, Rejected) and each.outcome.bad_recipient
    )


def _references(work: Work) -> tuple[rows.Reference, ...]:
    """What providers call deliveries whose events will name nothing else."""
    return tuple(
        events.reference(each.provider_id or "", outcome.reference, work.id, each.n)
        for each in work.deliveries
        if each.is_found_by_reference
        and isinstance(outcome := each.outcome, Accepted)
        and outcome.reference == _clean(outcome.reference)
        and outcome.reference
    )


def _put_off(work: Work, chance: float) -> queue.Waiting | None:
    """What could call nobody, through no fault of its own: it counts for nothing."""
    if work.is_held:
        return _waiting(work, "hold", "brand_held", 0.0, counts=not work.was_not_called)
    if work.put_off and work.was_not_called:
        return _waiting(
            work, "defer", work.put_off.reason, work.put_off.seconds * (1 + chance / 4), counts=False
        )
    return None


def _released(work: Work) -> caps.Released | None:
    """The place under the person's caps that was taken for nothing."""
    if not any(each.outcome for each in work.deliveries):
        return None
    may_be_taken = any(work.standing(each) in _MAY_BE_TAKEN for each in work.deliveries)
    return None if may_be_taken else work.judged.given_back()


def _again(work: Work, chance: float) -> queue.Waiting:
    """As late as the most patient provider asks for."""
    waits = [each for each in work.deliveries if goes_on(work.standing(each))]
    asked = max((each.after for each in waits), default=0.0)
    reason = next((_clean(each.reason) for each in waits if each.reason), "") or "not_called"
    return _waiting(work, "retry", reason, delay(work.tries, chance, asked))


def _first(work: Work, *wanted: Standing) -> Delivery | None:
    return next((each for each in work.deliveries if work.standing(each) in wanted), None)


def _finished(work: Work, event: str, reason: str | None, by: Delivery | None) -> queue.Finished:
    key = (work.claim.bucket, work.id, work.attempt)
    return queue.Finished(*key, event, reason, by.provider_id if by else None, work.decision())


def _waiting(work: Work, event: str, reason: str, seconds: float, *, counts: bool = True) -> queue.Waiting:
    key = (work.claim.bucket, work.id, work.attempt)
    return queue.Waiting(*key, event, reason, timedelta(seconds=seconds), work.decision(), counts)


def _deferred(work: Work, chance: float) -> queue.Waiting | deferral.Deferred:
    """Until a known time: only then can it go, and its lateness counts from there. Else like a retry."""
    until = work.verdict.until
    if until is None:
        return _waiting(work, "defer", work.verdict.rule, delay(work.tries, chance))
    key = (work.claim.bucket, work.id, work.attempt)
    deadline = until + work.judged.message.max_late
    return deferral.Deferred(*key, work.verdict.rule, until, deadline, work.decision())


def _answer(work: Work, delivery: Delivery) -> queue.Ended:
    outcome = delivery.outcome
    return queue.Ended(
        work.claim.bucket,
        work.id,
        delivery.n,
        work.attempt,
        WORDS[type(outcome)] if outcome else "",
        _clean(delivery.reason),
        _clean(getattr(outcome, "reference", None)),
        delivery.provider_id or "",
    )


def _clean(said: str | None) -> str | None:
    """What an adapter made of the other side's words: it must not be able to spoil the record."""
    return None if said is None else _UNPRINTABLE.sub(" ", said)[:_LONGEST]
