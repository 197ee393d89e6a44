"""What is known of a message is never thrown away, and what is not known is never guessed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from comms.actions import acceptance, brands, devices, messages, templates
from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.brand import Routes
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.schedule import DEFAULT_MAX_LATE
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, TryLater
from comms.providers.catalogue import KINDS
from comms.store import queue
from comms.store.database import Connection
from comms.testing import FakeClock
from tests.journeys.story import ask, outbox, status, tools

pytestmark = pytest.mark.anyio

Says = Callable[[Outgoing], Outcome]


class Scripted:
    """A provider that says what its test tells it to, and remembers whom it was called for."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.called: list[Outgoing] = []

    async def send(self, outgoing: Outgoing) -> Outcome:
        self.called.append(outgoing)
        return self.says(outgoing)

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def provide(house: House, loop_health: Caller, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Set up a provider of a kind of its own, first on the route of SMS and push."""

    async def provide(
        name: str, says: Says, *, idempotent: bool = False, key_lasts: float = math.inf
    ) -> Scripted:
        made = Scripted(says)
        kind = replace(
            KINDS["sandbox"], idempotent=idempotent, key_lasts=key_lasts, build=lambda _s, _k, _t: made
        )
        monkeypatch.setitem(KINDS, name, kind)
        shared = {"baa": True, "limits": {}, "brands": None}
        await brands.put_provider(house, loop_health, name, name, {}, {}, **shared)  # type: ignore[arg-type]
        await route(house, loop_health, name)
        return made

    return provide


async def route(house: House, caller: Caller, *names: str) -> None:
    brand = await house.setup.require_brand("loop")
    routes = Routes(sms=list(names), push=list(names))
    await brands.put_brand(house, caller, "loop", msgspec.structs.replace(brand.settings, routes=routes))


async def due(house: House, caller: Caller, clock: FakeClock, channel: str = "sms", **changes: Any) -> str:
    made = await acceptance.schedule(house, caller, ask(clock, channel, **changes))
    clock.advance(300)
    message_id: str = made.message["id"]
    return message_id


async def prefer_duplicate(house: House, caller: Caller) -> None:
    new = templates.NewTemplate("loop", "code", "sms", None, "transactional", 3600, "prefer_duplicate")
    made = await templates.create(house, caller, new)
    await templates.add_version(house, caller, UUID(made["id"]), {"body": "Hi {{ name }}"})


async def pass_time(clock: FakeClock, worker: Worker, hours: int = 5) -> None:
    for _ in range(hours * 6):
        clock.advance(600)
        await worker.once()


async def test_what_may_have_been_taken_can_not_be_cancelled_or_moved(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    keyed = await provide("keyed", lambda _: Lost("reset"), idempotent=True)
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    with pytest.raises(Refused, match="in_flight") as refused:
        await messages.cancel(house, loop_health, UUID(made))
    assert refused.value.headers == {"Retry-After": "1"}
    later = messages.Change(scheduled_at="2030-06-01T12:00:00Z")
    with pytest.raises(Refused, match="in_flight"):
        await messages.change(house, loop_health, UUID(made), later)
    keyed.says = lambda outgoing: Accepted(outgoing.key)
    clock.advance(10)
    await worker.once()
    with pytest.raises(Refused, match="already_sent"):
        await messages.cancel(house, loop_health, UUID(made))


async def test_what_one_device_has_taken_can_not_be_cancelled(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("pushy", lambda out: Accepted(out.key) if out.recipient == "a" else TryLater("busy"))
    for token in ("a", "b"):
        await devices.put(house, loop_health, "loop", "p1", "fcm", token, None)
    made = await due(house, loop_health, clock, "push", recipient="person")
    await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    with pytest.raises(Refused, match="in_flight"):
        await messages.cancel(house, loop_health, UUID(made))


async def test_a_cancel_that_waited_while_an_attempt_went_by_does_not_guess(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("busy", lambda _: TryLater("busy"))
    made = await due(house, loop_health, clock)
    await worker.once()
    async with house.database.owner.acquire() as connection, connection.transaction():
        await connection.execute("update queue set attempt = attempt + 1")
        cancelling = asyncio.create_task(messages.cancel(house, loop_health, UUID(made)))
        while not await house.database.engine.fetchval("select count(*) from pg_locks where not granted"):
            assert not cancelling.done()
        await connection.execute("update delivery set outcome = 'lost', doubts = 1")
    with pytest.raises(Refused, match="in_flight"):
        await cancelling


async def test_what_was_certainly_not_taken_is_cancelled_between_two_attempts(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("busy", lambda _: TryLater("busy"))
    made = await due(house, loop_health, clock)
    await worker.once()
    assert (await messages.cancel(house, loop_health, UUID(made)))["status"] == "cancelled"


async def test_a_lost_answer_is_asked_for_again_at_the_same_provider_only(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    first = await provide("keyed", lambda _: Lost("reset"), idempotent=True)
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    await route(house, loop_health, "sand")
    first.says = lambda outgoing: Accepted(outgoing.key)
    clock.advance(10)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert len({call.key for call in first.called}) == 1
    assert await outbox(house, loop_health) == []


@pytest.mark.parametrize(
    ("key_lasts", "stands"), [(DEFAULT_MAX_LATE + 1, "scheduled"), (DEFAULT_MAX_LATE, "unknown")]
)
async def test_a_key_that_might_be_forgotten_is_not_asked_with(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    provide: Any,
    key_lasts: float,
    stands: str,
) -> None:
    await provide("keyed", lambda _: Lost("reset"), idempotent=True, key_lasts=key_lasts)
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == stands


@pytest.mark.parametrize("answer", [TryLater("busy"), Misconfigured("login_refused"), Lost("reset")])
async def test_a_doubt_outlives_the_next_answer(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any, answer: Outcome
) -> None:
    """That a provider is busy now says nothing of the call whose answer was lost: too late is unknown then."""
    first = await provide("keyed", lambda _: Lost("reset"), idempotent=True)
    made = await due(house, loop_health, clock)
    await worker.once()
    first.says = lambda _: answer
    await route(house, loop_health, "keyed", "sand")
    await pass_time(clock, worker)
    assert await status(house, loop_health, made) == "unknown"
    assert await outbox(house, loop_health) == []


async def test_a_duplicate_is_preferred_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await prefer_duplicate(house, loop_health)
    first = await provide("deaf", lambda _: Lost("reset"))
    made = await due(house, loop_health, clock, template_key="code")
    await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    await pass_time(clock, worker)
    assert await status(house, loop_health, made) == "unknown"
    assert len(first.called) == 2


async def test_one_that_was_taken_is_sent_though_another_device_stays_busy_to_the_end(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("half", lambda out: Accepted("x") if out.recipient == "a" else TryLater("busy"))
    for token in ("a", "b"):
        await devices.put(house, loop_health, "loop", "p1", "fcm", token, None)
    made = await due(house, loop_health, clock, "push", recipient="person")
    await worker.once()
    await pass_time(clock, worker)
    assert await status(house, loop_health, made) == "sent"


async def test_a_device_is_told_to_its_provider(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    push = await provide("push", lambda _: Accepted("x"))
    await devices.put(house, loop_health, "loop", "p1", "apns", "token", "clinic")
    await due(house, loop_health, clock, "push", recipient="person")
    await worker.once()
    assert [(call.recipient, call.device.kind, call.device.app) for call in push.called] == [
        ("token", "apns", "clinic")
    ]


async def test_a_failing_mark_leaves_no_doubt_and_loses_no_device(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> set[Any]:
        raise asyncpg.ConnectionDoesNotExistError

    for token in ("a", "b", "c"):
        await devices.put(house, loop_health, "loop", "p1", "fcm", token, None)
    made = await due(house, loop_health, clock, "push", recipient="person")
    with monkeypatch.context() as cut:
        cut.setattr(queue, "freeze", fails)
        await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    clock.advance(10)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert len(await outbox(house, loop_health)) == 3


async def test_a_mark_that_was_written_without_its_answer_is_no_doubt_either(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = queue.freeze

    async def cut_between_commit_and_answer(*arguments: Any) -> set[Any]:
        await written(*arguments)
        raise asyncpg.ConnectionDoesNotExistError

    made = await due(house, loop_health, clock)
    with monkeypatch.context() as cut:
        cut.setattr(queue, "freeze", cut_between_commit_and_answer)
        await worker.once()
    clock.advance(10)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert len(await outbox(house, loop_health)) == 1


async def test_what_one_provider_said_counts_though_the_next_can_not_be_marked(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    written = queue.freeze

    async def fails_for_the_second(engine: Any, owner: Any, now: Any, marks: list[queue.Mark]) -> set[Any]:
        if marks[0].provider_id == "sand":
            raise asyncpg.ConnectionDoesNotExistError
        return await written(engine, owner, now, marks)

    await provide("half", lambda out: Accepted("x") if out.recipient == "a" else TryLater("busy"))
    await route(house, loop_health, "half", "sand")
    for token in ("a", "b"):
        await devices.put(house, loop_health, "loop", "p1", "fcm", token, None)
    made = await due(house, loop_health, clock, "push", recipient="person")
    with monkeypatch.context() as cut:
        cut.setattr(queue, "freeze", fails_for_the_second)
        await worker.once()
    assert await status(house, loop_health, made) == "scheduled"
    clock.advance(10)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"
    assert [item["recipient"] for item in await outbox(house, loop_health)] == ["b"]


async def test_odd_words_of_a_provider_spoil_no_record(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    await provide("odd", lambda out: Accepted("\udcff\x00é" * 200) if "7" in out.key[-12:] else Accepted("x"))
    made = [
        (await acceptance.schedule(house, loop_health, ask(clock, dedup_key=f"key-{n}"))).message["id"]
        for n in range(20)
    ]
    clock.advance(300)
    await worker.once()
    assert {await status(house, loop_health, each) for each in made} == {"sent"}


async def test_an_answer_that_comes_after_the_lease_mends_what_another_gave_up(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    async def thinks_for_long(outgoing: Outgoing) -> Outcome:
        clock.advance(house.settings.lease_seconds + 1)
        await sweep(house)
        assert await status(house, loop_health, made) == "unknown"
        return Accepted(outgoing.key)

    provider = await provide("slow", lambda _: Accepted("x"))
    provider.send = thinks_for_long
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"


async def test_a_worker_does_not_give_up_what_it_still_sees_through(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    async def thinks_for_long(outgoing: Outgoing) -> Outcome:
        clock.advance(house.settings.lease_seconds + 1)
        await sweep(house, ours=worker._in_flight)
        assert await status(house, loop_health, made) == "sending"
        return Accepted(outgoing.key)

    provider = await provide("slow", lambda _: Accepted("x"))
    provider.send = thinks_for_long
    made = await due(house, loop_health, clock)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"


async def test_a_pause_before_the_mark_leaves_the_message_free(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """The worker knows that it called nobody, and says so as long as the claim is its own."""
    made = await due(house, loop_health, clock)
    sleeper = Worker(house, tools(house))
    (claim,), lease_ends = await sleeper._take(1), sleeper._lease_ends()
    clock.advance(house.settings.lease_seconds - 5)
    await sleeper._pipeline.deliver(claim, lease_ends)
    assert await status(house, loop_health, made) == "scheduled"
    clock.advance(10)
    await worker.once()
    assert await status(house, loop_health, made) == "sent"


async def test_one_that_waits_for_its_provider_keeps_no_other_waiting(
    house: House, loop_health: Caller, clock: FakeClock, provide: Any
) -> None:
    released = asyncio.Event()

    async def waits(outgoing: Outgoing) -> Outcome:
        if outgoing.recipient.endswith("0199"):
            await released.wait()
        return Accepted(outgoing.key)

    provider = await provide("slow", lambda _: Accepted("x"))
    provider.send = waits
    soon = timedelta(minutes=4)
    slow = (
        await acceptance.schedule(house, loop_health, ask(clock, after=soon, recipient="+15555550199"))
    ).message["id"]
    quick = await due(house, loop_health, clock, dedup_key="key-2")
    worker = Worker(house, tools(house))
    for _ in range(2):
        worker._start(await worker._take(1), worker._lease_ends())
    await asyncio.wait([task for each, task in worker._in_flight.items() if str(each) == quick])
    assert await status(house, loop_health, quick) == "sent"
    assert await status(house, loop_health, slow) == "sending"
    released.set()
    await worker.drain()
    assert await status(house, loop_health, slow) == "sent"


async def test_settled_to_try_again_it_may_be_as_late_as_the_template_allows_from_now(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    first = await provide("deaf", lambda _: Lost("reset"))
    made = await due(house, loop_health, clock)
    await worker.once()
    clock.advance(timedelta(days=2).total_seconds())
    first.says = lambda _: Accepted("x")
    await messages.settle(house, loop_health, UUID(made), "retry")
    await worker.once()
    assert await status(house, loop_health, made) == "sent"


HELD = """
create function held() returns boolean language plpgsql as $$
  begin perform pg_advisory_lock_shared(42); perform pg_advisory_unlock_shared(42); return true; end $$;
create policy held on queue as restrictive to comms_engine using (held());
"""


@pytest.fixture
async def held(house: House) -> AsyncIterator[Connection]:
    """A connection with whose lock 42 a claim stops between its snapshot and its first row."""
    owner = house.database.owner
    await owner.execute(HELD)
    async with owner.acquire() as connection:
        yield connection
    await owner.execute("drop policy held on queue; drop function held()")


async def test_a_change_that_commits_while_it_is_claimed_is_what_goes_out(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, held: Any
) -> None:
    made = await due(house, loop_health, clock)
    await held.execute("select pg_advisory_lock(42)")
    claiming = asyncio.create_task(worker._take(10))
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    while not await held.fetchval(waiting):
        pass
    await messages.change(house, loop_health, UUID(made), messages.Change(variables={"name": "Grace"}))
    await held.execute("select pg_advisory_unlock(42)")
    [claim] = await claiming
    await worker._pipeline.deliver(claim, worker._lease_ends())
    assert [item["body"] for item in await outbox(house, loop_health)] == ["Hi Grace"]
