"""What would be sent, when, and why not the rest: what waits, judged ahead of its time by the same rules.

The clock is virtual, all else is what is committed now. Nothing is claimed, nothing is written, and no
content leaves: of messages the ids, of evidence the rows' ids. Every provider is assumed to take what it
is handed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.actions import permission
from comms.actions.house import House
from comms.actions.permission import Asked, Known, Message
from comms.actions.recipients import addressed
from comms.actions.setup import Brand
from comms.domain import schedule
from comms.domain.caller import Caller
from comms.domain.caps import Sent
from comms.domain.content import Sealed
from comms.domain.decision import Facts, Verdict, decide
from comms.domain.errors import Refused, invalid
from comms.domain.otherwise import otherwise
from comms.domain.schedule import show
from comms.domain.simulation import Step, Waiting, walk
from comms.store import simulations as rows

MOST_MESSAGES = 10_000
"""The next due of which one call tells."""

MOST_JUDGEMENTS = 100_000
"""After so many a call ends: a cap may put thousands of one person's messages off again and again."""

_TOGETHER = 100
"""Read in one round trip, and judged before others have their turn."""


class Subject(NamedTuple):
    """A message that waits, and what is known of it now. The times of `message` are set when it is judged."""

    waiting: Waiting
    about: Asked
    message: Message
    known: Known


class Judge:
    """Judges a brand's messages on a clock that is handed in, and counts what their persons get by it."""

    def __init__(self, subjects: Iterable[Subject], *, is_held: bool) -> None:
        self._subjects = {each.waiting.id: each for each in subjects}
        self._is_held = is_held
        self._sent: dict[str, list[Sent]] = {}

    def judge(self, waiting: Waiting, now: datetime) -> tuple[Facts, Verdict]:
        """As a worker would, had it claimed the message at that moment."""
        _, about, message, known = self._subjects[waiting.id]
        if about.caps:
            known.sent = self._sent.setdefault(about.person_id, known.sent)
        facts = permission.facts(about, known, message._replace(now=now, deadline=waiting.deadline))
        if self._is_held:
            facts = replace(facts, is_held=True)
        verdict = decide(facts)
        if verdict.verdict == "send" and facts.caps:
            self._sent[about.person_id] = permission.with_this(about, known, facts, message.id)
        return facts, verdict


async def simulate(
    house: House, caller: Caller, brand_id: str, person_id: str | None, until: str
) -> dict[str, Any]:
    """The next due of a person, or of the brand, judged. `details.until`: how far that is all."""
    caller.act_for(brand_id)
    await house.setup.refresh()
    ends = _ends(until, house.clock.now(), house.settings.schedule_horizon_days)
    brand = await house.setup.require_brand(brand_id)
    whose = brand.person_hash(person_id) if person_id else None
    async with house.database.brand(brand_id) as connection:
        found = await rows.waiting(connection, brand_id, whose, ends, house.clock.sql_now(), MOST_MESSAGES)
    if len(found) == MOST_MESSAGES:
        ends = found[-1]["due_at"]
    steps: dict[UUID, list[Step]] = {}
    if found:
        subjects = await _subjects(house, brand, found)
        judge = Judge(subjects, is_held=brand.held_at is not None)
        walked = walk([each.waiting for each in subjects], found[0]["clock"], ends, judge.judge)
        ends = await _follow(walked, ends, steps)
    data = []
    for n, story in enumerate(sorted(steps.values(), key=_at)):
        data.append(_told(story))
        await _others_turn(n)
    return {"data": data, "details": {"until": show(ends)}}


def _ends(until: str, now: datetime, horizon_days: int) -> datetime:
    """The instant; 422 where it is none, lies in the past or beyond what can be scheduled."""
    when = schedule.read(until, "until")
    if not when.is_true:
        raise invalid("until has an offset that contradicts the time zone in brackets; mend one of them.")
    if when.instant < now:
        raise Refused(422, "until_in_past", "until lies in the past; use a later time.")
    if when.instant > now + timedelta(days=horizon_days):
        too_far = f"until lies more than {horizon_days} days ahead, which is the limit here."
        raise Refused(422, "until_too_far", too_far)
    return when.instant


async def _subjects(house: House, brand: Brand, found: list[asyncpg.Record]) -> list[Subject]:
    keys = await house.keys.many(brand, [row["person_hash"] for row in found])
    asked: list[tuple[Waiting, Asked, Message]] = []
    for n, row in enumerate(found):
        template = await house.setup.template_by_id(row["template_id"])
        if template is None:
            raise LookupError
        route = await house.setup.route(brand, row["channel"], hipaa=row["hipaa"])
        address, options = Sealed(row["address"]), Sealed(row["options"]) if row["options"] else None
        person_id, recipient, said, erased = addressed(keys[row["person_hash"]], row["id"], address, options)
        about = Asked(brand, person_id, row["channel"], recipient, template["category"], said.send_if)
        max_late = timedelta(seconds=template["max_late"])
        waiting = Waiting(row["due_at"], row["id"], row["deadline"], max_late)
        times = (row["due_at"], row["deadline"], max_late)
        asked.append((waiting, about, Message(str(row["id"]), *times, len(route), row["hipaa"], erased)))
        await _others_turn(n)
    subjects: list[Subject] = []
    for begins in range(0, len(asked), _TOGETHER):
        group = asked[begins : begins + _TOGETHER]
        known = await permission.known(house, [about for _, about, _ in group])
        subjects += [Subject(*each, its) for each, its in zip(group, known, strict=True)]
    return subjects


async def _follow(walked: Iterable[Step], ends: datetime, steps: dict[UUID, list[Step]]) -> datetime:
    """Take down each judgement, as many as one call may make; how far that was."""
    for n, step in enumerate(walked, 1):
        steps.setdefault(step.id, []).append(step)
        if n == MOST_JUDGEMENTS:
            return step.facts.now
        await _others_turn(n)
    return ends


async def _others_turn(n: int) -> None:
    """Between hundreds, so that nobody waits for us."""
    if n % _TOGETHER == 0:
        await asyncio.sleep(0)


def _at(story: list[Step]) -> tuple[datetime, UUID]:
    return story[-1].facts.now, story[-1].id


def _told(story: list[Step]) -> dict[str, Any]:
    """A message's last verdict, and what put it off before that."""
    *before, last = story
    verdict = last.verdict
    made = {"message_id": str(last.id), "at": show(last.facts.now), "verdict": verdict.verdict}
    details: dict[str, Any] = {}
    if verdict.verdict != "send":
        made["reason"] = verdict.rule
        details = {"because": verdict.reason, "otherwise": otherwise(last.facts)}
    if verdict.until:
        details["until"] = show(verdict.until)
    if before:
        details["deferred"] = [_deferred(each) for each in before]
    return made | ({"details": details} if details else {})


def _deferred(step: Step) -> dict[str, str]:
    assert step.verdict.until  # noqa: S101 - else it were the last
    return {"at": show(step.facts.now), "until": show(step.verdict.until), "reason": step.verdict.rule}
