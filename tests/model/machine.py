"""Anything that callers, a worker, a clock and providers may do, in any order, beside the reference model.

After each step every message must stand where the model has it, and providers must have been called for
exactly what the model expects.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from comms.store.database import connect
from tests.model.asked import (
    ADDRESSES,
    KEYS,
    SHOWN,
    as_shown,
    bodies,
    channels,
    delays,
    keys,
    moods,
    names,
    outcomes,
    persons,
    picks,
    shown,
)
from tests.model.reference import KEYED, TEMPLATES, Answer, Message, Service
from tests.model.world import Said, World, world

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

Result = TypeVar("Result")


class Machine(RuleBasedStateMachine):
    """One life of an installation. `dsn` is that of a migrated database which nobody else uses."""

    dsn = ""
    reached: ClassVar[Counter[str]] = Counter()
    """In which statuses messages were seen to end up, over all lives."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.model = Service(NOON, versions={(key, channel): 1 for key in TEMPLATES for channel in KEYED})
        self.world: World = self.run(self._open())

    def run(self, asked: Coroutine[Any, Any, Result]) -> Result:
        """To its end."""
        return self._runner.run(asked)

    async def _open(self) -> World:
        database = await connect(self.dsn)
        self._stack.push_async_callback(database.close)
        return await self._stack.enter_async_context(world(database, NOON))

    def teardown(self) -> None:
        """Leave an empty database."""
        self.reached.update(message.status for message in self.model.messages.values())
        self.run(self._stack.aclose())
        self._runner.close()

    # What callers ask

    @rule(body=bodies(), delay=delays, old=st.none() | keys)
    def schedule(self, body: dict[str, Any], delay: int, old: str | None) -> None:
        body = self._timed(body, delay)
        if old and old != body["dedup_key"]:
            body["options"] = {"supersedes": old}
        expected = self.model.accept("schedule", body, self.model.now + timedelta(seconds=delay))
        self._agree(expected, self.run(self.world.ask("POST", "/v1/messages/schedule", body)))

    @precondition(lambda self: self.model.messages)
    @rule(pick=picks)
    def schedule_again(self, pick: int) -> None:
        body = self._picked(pick).asked
        if "scheduled_at" in body:
            expected = self.model.accept("schedule", body, datetime.fromisoformat(body["scheduled_at"]))
            self._agree(expected, self.run(self.world.ask("POST", "/v1/messages/schedule", body)))

    @rule(body=bodies())
    def send(self, body: dict[str, Any]) -> None:
        expected = self.model.accept("send", body, None)
        self._agree(expected, self.run(self.world.send(body)))

    @rule(
        asked=st.lists(st.tuples(bodies(), delays), max_size=4, unique_by=lambda each: each[0]["dedup_key"])
    )
    def batch(self, asked: list[tuple[dict[str, Any], int]]) -> None:
        lines = [(self._timed(*each), each[1]) for each in asked]
        expected = [
            self.model.accept("schedule", body, self.model.now + timedelta(seconds=delay))
            for body, delay in lines
        ]
        said = self.run(self.world.batch([body for body, _ in lines]))
        assert len(said) == len(lines)
        for each, line in zip(expected, said, strict=True):
            self._agree(each, line)

    @precondition(lambda self: self.model.messages)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        message = self._picked(pick, "sending")
        expected = self.model.cancel(message)
        self._agree(expected, self.run(self.world.ask("POST", f"/v1/messages/scheduled/{message.id}/cancel")))

    @rule(
        name=st.sampled_from(["dedup_key", "dedup_key", "dedup_key", "person_id", "template_key"]), pick=picks
    )
    def cancel_many(self, name: str, pick: int) -> None:
        value = {
            "person_id": f"p{pick % 3}",
            "template_key": list(TEMPLATES)[pick % 3],
            "dedup_key": KEYS[pick],
        }[name]
        if name == "dedup_key":
            wanted = [self.model.messages[value]] if value in self.model.messages else []
        else:
            wanted = list(self.model.open_ones(**{name: value}))
        expected = {each.id: self.model.cancel(each) for each in wanted}
        self._verdicts(expected, "cancel", {"brand_id": "loop", name: value})

    @precondition(lambda self: self.model.messages)
    @rule(pick=picks, delay=st.none() | delays, name=st.none() | names, current=st.booleans())
    def patch(self, pick: int, delay: int | None, name: str | None, *, current: bool) -> None:
        message = self._picked(pick, "sending")
        at = None if delay is None else self.model.now + timedelta(seconds=delay)
        body: dict[str, Any] = {"scheduled_at": shown(at)} if at else {}
        body |= {"variables": {"name": name}} if name else {}
        body |= {"template_version": "current"} if current else {}
        if body:
            expected = self.model.change(message, at, name, current=current)
            self._agree(
                expected, self.run(self.world.ask("PATCH", f"/v1/messages/scheduled/{message.id}", body))
            )

    @rule(template=st.sampled_from(list(TEMPLATES)), channel=channels)
    def repin(self, template: str, channel: str) -> None:
        wanted = list(self.model.open_ones(template_key=template, channel=channel))
        expected = {each.id: self.model.change(each, None, None, current=True) for each in wanted}
        self._verdicts(expected, "repin", {"brand_id": "loop", "template_key": template, "channel": channel})

    @precondition(lambda self: self.model.messages)
    @rule(pick=picks, outcome=outcomes)
    def settle(self, pick: int, outcome: str) -> None:
        message = self._picked(pick, "unknown")
        expected = self.model.settle(message, outcome)
        path = f"/v1/messages/scheduled/{message.id}/settle"
        self._agree(expected, self.run(self.world.ask("POST", path, {"outcome": outcome})))

    # What operators and persons do

    @rule(template=st.sampled_from(list(TEMPLATES)), channel=channels)
    def publish(self, template: str, channel: str) -> None:
        self.model.versions[template, channel] += 1
        self.run(self.world.publish(channel, template, self.model.versions[template, channel]))

    @precondition(lambda self: not self.model.is_held)
    @rule()
    def hold(self) -> None:
        self.model.is_held = True
        assert self.run(self.world.hold()).status == 200

    @precondition(lambda self: self.model.is_held)
    @rule(late=st.sampled_from(["send", "expire"]))
    def release(self, late: str) -> None:
        self.model.release(late=late)
        assert self.run(self.world.ask("POST", "/v1/brands/loop/release", {"late": late})).status == 200

    @rule(person=persons, channel=channels, opted_in=st.booleans())
    def consent(self, person: str, channel: str, *, opted_in: bool) -> None:
        self.model.consents[person, channel] = opted_in
        body = {"brand_id": "loop", "person_id": person, "channel": channel, "category": "marketing"}
        said = self.run(
            self.world.ask("PUT", "/v1/consents", {**body, "opted_in": opted_in, "source": "form"})
        )
        assert said.status == 200

    @rule(
        person=persons,
        channel=channels,
        reason=st.sampled_from(["manual", "hard_bounce"]),
        lifts=st.booleans(),
    )
    def suppress(self, person: str, channel: str, reason: str, *, lifts: bool) -> None:
        address = ADDRESSES[person][channel]
        member = {"email": "email", "sms": "number"}[channel]
        body = {"brand_id": "loop", member: address, "reason": reason, "source": "staff"}
        said = self.run(self.world.ask("POST", "/v1/suppressions", body))
        assert said.status == 200
        reasons = self.model.suppressed.setdefault(address, set())
        reasons.add(reason)
        if lifts:
            reasons.remove(reason)
            assert self.run(self.world.ask("DELETE", f"/v1/suppressions/{said.body['id']}")).status == 200

    @rule(person=persons, seldom=st.integers(0, 3))
    def erase(self, person: str, seldom: int) -> None:
        theirs = [each for each in self.model.messages.values() if each.asked["person_id"] == person]
        if seldom or any(each.status == "sending" for each in theirs):
            return  # it would wait for the lease
        cancelled = self.model.erase(person)
        said = self.run(self.world.ask("DELETE", f"/v1/persons/{person}", brand_id="loop"))
        assert (said.status, said.body["cancelled"]) == (200, cancelled)

    # What time and workers do

    @rule(seconds=st.sampled_from([1, 31, 31, 120, 700, 4_000, 15_000]))
    def advance(self, seconds: int) -> None:
        self.model.now += timedelta(seconds=seconds)
        self.world.clock.advance(seconds)

    @rule(mood=moods)
    def work(self, mood: str) -> None:
        again = self.model.work(mood)
        self.run(self.world.work(mood))
        for message in again:
            self._learn_when(message)

    @rule(seconds=st.sampled_from([1, 31, 120]), mood=moods)
    def time_passes(self, seconds: int, mood: str) -> None:
        self.advance(seconds)
        self.sweep()
        self.work(mood)

    @rule()
    def claim_and_die(self) -> None:
        self.model.claim()
        self.run(self.world.claim())

    @rule()
    def sweep(self) -> None:
        self.model.sweep()
        self.run(self.world.sweep())

    # What must be so after each step

    @invariant()
    def all_stand_where_they_should(self) -> None:
        said = self.run(self.world.ask("GET", "/v1/messages/scheduled", brand_id="loop", limit=1000))
        found = {
            each["id"]: (each["dedup_key"], *(each[name] for name in SHOWN)) for each in said.body["data"]
        }
        assert found == {message.id: as_shown(message) for message in self.model.messages.values()}

    @invariant()
    def providers_were_called_for_that_alone(self) -> None:
        assert self.world.called() == sorted(self.model.calls)
        for message in self.model.messages.values():
            assert self.world.took(message.id) == message.reached

    @precondition(lambda self: self.model.messages)
    @rule(pick=picks)
    def look(self, pick: int) -> None:
        message = self._picked(pick)
        one = self.run(self.world.ask("GET", f"/v1/messages/scheduled/{message.id}"))
        assert (one.body["dedup_key"], *(one.body[name] for name in SHOWN)) == as_shown(message)
        told = self.run(self.world.ask("GET", f"/v1/messages/{message.id}/timeline")).body["data"]
        events = [each["event"] for each in told]
        calls = sum(call[0] == message.id for call in self.model.calls)
        assert (events.count("claimed"), events.count("attempted")) == (message.attempts, calls)

    def _picked(self, pick: int, likely: str = "") -> Message:
        """Any, or every other time one that is in this status."""
        messages = list(self.model.messages.values())
        those = [each for each in messages if each.status == likely and pick % 2]
        return (those or messages)[pick % len(those or messages)]

    def _timed(self, body: dict[str, Any], delay: int) -> dict[str, Any]:
        return {**body, "scheduled_at": shown(self.model.now + timedelta(seconds=delay))}

    def _agree(self, expected: Answer, said: Said) -> None:
        assert (said.status, said.body.get("error")) == (expected.status, expected.code)
        if expected.message:
            found = said.body.get("id") or said.body["message_id"]
            expected.message.id = expected.message.id or found
            assert found == expected.message.id

    def _verdicts(self, expected: dict[str, Answer], path: str, body: dict[str, Any]) -> None:
        said = self.run(self.world.ask("POST", f"/v1/messages/scheduled/{path}", body))
        assert said.status == 200
        assert {each["id"]: each.get("error") for each in said.body["data"]} == {
            message_id: answer.code for message_id, answer in expected.items()
        }

    def _learn_when(self, message: Message) -> None:
        """By how much a retry is spread is chance's affair, within bounds."""
        told = self.run(self.world.ask("GET", f"/v1/messages/{message.id}/timeline")).body["data"]
        assert told[-1]["event"] == "retried", told
        until = datetime.fromisoformat(told[-1]["details"]["until"])
        least, most = self.model.patience(message)
        assert least <= until - self.model.now <= most
        message.due = until + timedelta(milliseconds=1)
