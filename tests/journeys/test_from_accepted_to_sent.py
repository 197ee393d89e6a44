"""The main journey, on real PostgreSQL and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from comms.actions import acceptance, brands, inbox, messages
from comms.actions.house import House
from comms.dispatch.sweep import SILENCE, sweep
from comms.dispatch.worker import Worker
from comms.domain.brand import Routes, Senders
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.schedule import show
from comms.store import queue
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS, ask, events, outbox, status, tools

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("channel", RECIPIENTS)
async def test_a_message_goes_out_at_its_time_and_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, channel: str
) -> None:
    accepted = await acceptance.schedule(house, loop_health, ask(clock, channel))
    assert accepted.message["status"] == "scheduled"
    clock.advance(299.999)
    assert await worker.once() == 0
    clock.advance(0.001)
    assert await worker.once() == 1
    assert await worker.once() == 0
    shown = await messages.get_scheduled(house, loop_health, UUID(accepted.message["id"]))
    assert (shown["status"], shown["sent_at"]) == ("sent", show(clock.now()))
    assert await events(house, loop_health, shown["id"]) == ["accepted", "claimed", "attempted", "sent"]
    if channel == "in_app":
        items = await inbox.listed(house, loop_health, "loop", "p1", 10)
        assert [(item["title"], item["body"]) for item in items] == [("Your visit", "Hi Ada")]
    else:
        kept = await outbox(house, loop_health)
        assert [(item["recipient"], item["body"]) for item in kept] == [(RECIPIENTS[channel], "Hi Ada")]


async def test_the_same_key_is_the_same_message_whatever_the_concurrency(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    answers = await asyncio.gather(*(acceptance.schedule(house, loop_health, ask(clock)) for _ in range(50)))
    assert len({answer.message["id"] for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"variables": {"name": "Bob"}}, "dedup_key_conflict", "variables"),
        ({"person_id": "p2", "hipaa": True}, "dedup_key_conflict", "person_id, hipaa"),
        ({"recipient": "+15555550124"}, "dedup_key_conflict", "recipient"),
        ({"template_key": "other"}, "dedup_key_conflict", "template_key"),
        ({"scheduled_at": "2031-01-01T00:00:00Z"}, "dedup_key_conflict", "scheduled_at"),
    ],
)
async def test_the_same_key_with_other_content_names_what_differs(
    house: House, loop_health: Caller, clock: FakeClock, changes: dict[str, Any], code: str, named: str
) -> None:
    await acceptance.schedule(house, loop_health, ask(clock))
    with pytest.raises(Refused) as refused:
        await acceptance.schedule(house, loop_health, ask(clock, **changes))
    assert refused.value.code == code
    assert f"differs in {named};" in refused.value.message


async def test_a_true_retry_is_replayed_long_after(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    request = ask(clock)
    first = await acceptance.schedule(house, loop_health, request)
    clock.advance(300)
    await worker.once()
    clock.advance(86_400 * 30)
    again = await acceptance.schedule(house, loop_health, request)
    assert again.replayed
    assert (again.message["id"], again.message["status"]) == (first.message["id"], "sent")


async def test_a_cancelled_message_is_never_sent_and_its_key_is_spent(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    request = ask(clock)
    made = (await acceptance.schedule(house, loop_health, request)).message
    for _ in range(2):
        assert (await messages.cancel(house, loop_health, UUID(made["id"])))["status"] == "cancelled"
    clock.advance(300)
    assert await worker.once() == 0
    with pytest.raises(Refused, match="dedup_key_cancelled"):
        await acceptance.schedule(house, loop_health, request)


@pytest.mark.parametrize(
    ("recipient", "ends", "story"),
    [
        ("reject@x.test", "failed", ["accepted", "claimed", "attempted", "failed"]),
        ("Reject@x.test", "failed", ["accepted", "claimed", "attempted", "failed"]),
        ("lost@x.test", "unknown", ["accepted", "claimed", "attempted", "unknown"]),
        ("slow@x.test", "sent", ["accepted", "claimed", "attempted", "sent"]),
        ("bounce@x.test", "sent", ["accepted", "claimed", "attempted", "bounced", "sent"]),
    ],
)
async def test_what_a_provider_answers(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    recipient: str,
    ends: str,
    story: list[str],
) -> None:
    made = (await acceptance.schedule(house, loop_health, ask(clock, "email", recipient=recipient))).message
    clock.advance(300)
    await worker.once()
    assert await status(house, loop_health, made["id"]) == ends
    told = await events(house, loop_health, made["id"])
    assert told[:3] == story[:3]
    assert sorted(told) == sorted(story)  # a bounce may be heard before or after the answer is recorded


async def test_not_now_is_tried_again_with_growing_pauses(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = (
        await acceptance.schedule(house, loop_health, ask(clock, "email", recipient="flaky@x.test"))
    ).message
    clock.advance(300)
    for pause in (0.999, 1.999):
        assert await worker.once() == 1
        assert await status(house, loop_health, made["id"]) == "scheduled"
        clock.advance(pause)
        assert await worker.once() == 0
        clock.advance(pause + 0.1)
    assert await worker.once() == 1
    assert await status(house, loop_health, made["id"]) == "sent"
    assert len(await outbox(house, loop_health)) == 1


async def test_what_is_too_late_expires(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    clock.advance(300 + 4 * 3600 + 0.001)
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(made["id"]))
    assert (shown["status"], shown["failure_reason"]) == ("expired", "expired")
    explained = await messages.explain(house, loop_health, UUID(made["id"]))
    assert (explained["verdict"], explained["rule"]) == ("expire", "max_late")


async def test_what_waited_through_an_outage_is_ended_by_the_sweep(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    clock.advance(86_400)
    await sweep(house)
    assert await status(house, loop_health, made["id"]) == "expired"


async def test_settled_by_hand(house: House, loop_health: Caller, clock: FakeClock, worker: Worker) -> None:
    made = (
        await acceptance.schedule(house, loop_health, ask(clock, "email", recipient="lost@x.test"))
    ).message
    clock.advance(300)
    await worker.once()
    shown = await messages.settle(house, loop_health, UUID(made["id"]), "retry")
    assert shown["status"] == "scheduled"
    assert await worker.once() == 1
    assert len(await outbox(house, loop_health)) == 2
    shown = await messages.settle(house, loop_health, UUID(made["id"]), "sent")
    assert shown["status"] == "sent"
    with pytest.raises(Refused, match="not_unknown"):
        await messages.settle(house, loop_health, UUID(made["id"]), "failed")


async def test_a_patch_moves_the_message_and_keeps_its_id(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    request = ask(clock)
    made = (await acceptance.schedule(house, loop_health, request)).message
    later = show(clock.now() + timedelta(hours=6))
    change = messages.Change(scheduled_at=later, variables={"name": "Grace"})
    moved = await messages.change(house, loop_health, UUID(made["id"]), change)
    assert (moved["id"], moved["scheduled_at"]) == (made["id"], later)
    assert (await acceptance.schedule(house, loop_health, request)).message["scheduled_at"] == later
    clock.advance(6 * 3600)
    assert await worker.once() == 1
    assert (await outbox(house, loop_health))[0]["body"] == "Hi Grace"
    with pytest.raises(Refused, match="already_sent"):
        await messages.change(house, loop_health, UUID(made["id"]), change)


async def test_a_dead_worker_before_it_began_costs_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    clock.advance(300)
    await Worker(house, tools(house))._take(10)
    with pytest.raises(Refused, match="in_flight"):
        await messages.cancel(house, loop_health, UUID(made["id"]))
    await sweep(house)
    assert await worker.once() == 0
    clock.advance(house.settings.lease_seconds + 0.001)
    await sweep(house)
    assert await worker.once() == 1
    assert await status(house, loop_health, made["id"]) == "sent"


async def claimed(house: House, caller: Caller, clock: FakeClock) -> tuple[str, Worker, queue.Claim, float]:
    """A message that a worker has claimed and not begun, with when its lease ends."""
    made = (await acceptance.schedule(house, caller, ask(clock))).message
    clock.advance(300)
    sleeper = Worker(house, tools(house))
    [claim] = await sleeper._take(10)
    return made["id"], sleeper, claim, sleeper._lease_ends()


async def silent(house: House) -> None:
    """Nobody was heard of for longer than a worker may be silent."""
    await house.database.owner.execute("update worker set heard_at = heard_at - $1::interval", SILENCE)


async def test_what_a_silent_worker_had_not_begun_is_sent_by_another_before_its_lease_is_over(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id, sleeper, claim, lease_ends = await claimed(house, loop_health, clock)
    await silent(house)
    await sweep(house)
    await sleeper._pipeline.deliver(claim, lease_ends)  # it had only been paused
    assert await outbox(house, loop_health) == []
    assert await worker.once() == 1
    assert len(await outbox(house, loop_health)) == 1
    assert await events(house, loop_health, message_id) == [
        "accepted", "claimed", "retried", "claimed", "attempted", "sent",
    ]  # fmt: skip


async def test_what_a_silent_worker_had_begun_waits_for_the_end_of_its_lease(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    async def meanwhile(_outgoing: object) -> None:
        await silent(house)
        await sweep(house)
        assert await Worker(house, tools(house)).once() == 0

    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    clock.advance(300)
    await Worker(house, replace(tools(house), keep_in_sandbox=meanwhile)).once()
    assert await status(house, loop_health, made["id"]) == "sent"


async def test_a_mark_waits_for_who_gives_the_claim_to_others_and_then_is_none(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    message_id, sleeper, claim, lease_ends = await claimed(house, loop_health, clock)
    async with house.database.owner.acquire() as connection, connection.transaction():
        await connection.execute("update queue set state = 'scheduled', owner = null, lease_until = null")
        delivering = asyncio.create_task(sleeper._pipeline.deliver(claim, lease_ends))
        await waiting_for_a_lock(house)
    await delivering
    assert await outbox(house, loop_health) == []
    assert await status(house, loop_health, message_id) == "scheduled"


async def waiting_for_a_lock(house: House) -> None:
    async with asyncio.timeout(10):
        while not await house.database.owner.fetchval(
            "select exists (select from pg_locks where not granted)"
        ):
            pass


async def test_a_worker_that_dies_while_handing_over_leaves_a_doubt_not_a_duplicate(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    class Died(BaseException):
        """The process is gone."""

    async def die(_outgoing: object) -> None:
        raise Died

    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    clock.advance(300)
    with pytest.raises(Died):
        await Worker(house, replace(tools(house), keep_in_sandbox=die)).once()
    clock.advance(house.settings.lease_seconds + 0.001)
    await sweep(house)
    assert await status(house, loop_health, made["id"]) == "unknown"
    assert await worker.once() == 0


async def test_a_worker_that_slept_through_its_lease_hands_nothing_over(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id, sleeper, claim, lease_ends = await claimed(house, loop_health, clock)
    clock.advance(house.settings.lease_seconds + 1)
    await sweep(house)
    await sleeper._pipeline.deliver(claim, lease_ends)
    assert await outbox(house, loop_health) == []
    assert await worker.once() == 1
    assert len(await outbox(house, loop_health)) == 1
    assert await status(house, loop_health, message_id) == "sent"


async def test_another_brands_message_is_not_there(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    stranger = replace(loop_health, brand_id="other")
    for act in (messages.get_scheduled, messages.cancel, messages.timeline):
        with pytest.raises(Refused) as refused:
            await act(house, stranger, UUID(made["id"]))
        assert refused.value.status == 404


async def test_nothing_readable_is_stored(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    canary = "Xylophone"
    request = ask(clock, person_id=f"{canary}1", dedup_key=f"{canary}2", variables={"name": f"{canary}3"})
    await acceptance.schedule(house, loop_health, request)
    clock.advance(300)
    await worker.once()
    tables = await house.database.owner.fetch("select tablename from pg_tables where schemaname = 'public'")
    for table in tables:
        for row in await house.database.owner.fetch(f'select t::text as said from "{table["tablename"]}" t'):
            assert canary not in row["said"]
            assert canary.encode().hex() not in row["said"]
            assert "5555550123" not in row["said"]


async def test_what_can_not_be_prepared_waits_and_harms_no_other(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    spoilt = (await acceptance.schedule(house, loop_health, ask(clock))).message
    well = (await acceptance.schedule(house, loop_health, ask(clock, dedup_key="key-2"))).message
    await house.database.owner.execute(
        "update message set variables = '\\x00' where id = $1", UUID(spoilt["id"])
    )
    clock.advance(300)
    assert await worker.once() == 2
    assert await status(house, loop_health, well["id"]) == "sent"
    assert await status(house, loop_health, spoilt["id"]) == "scheduled"
    assert await events(house, loop_health, spoilt["id"]) == ["accepted", "claimed", "retried"]
    clock.advance(5 * 3600)
    await sweep(house)
    assert await status(house, loop_health, spoilt["id"]) == "expired"


async def test_a_message_on_which_workers_die_comes_back_ever_later(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    made = (await acceptance.schedule(house, loop_health, ask(clock))).message
    clock.advance(300)
    waits = []
    for _ in range(5):
        assert len(await Worker(house, tools(house))._take(10)) == 1
        clock.advance(house.settings.lease_seconds + 0.001)
        await sweep(house)
        due = await house.database.owner.fetchval("select due_at from queue where id = $1", UUID(made["id"]))
        waits.append(max((due - clock.now()).total_seconds(), 0))
        clock.advance(waits[-1])
    assert waits == [0, 0, 4, 8, 16]


async def test_the_provider_that_was_called_is_the_one_that_is_remembered(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """The first of the route is misconfigured; what a dead worker leaves must name the second."""
    await brands.put_provider(
        house,
        loop_health,
        "mail",
        "smtp",
        {"host": "127.0.0.1", "port": 1, "tls": "none"},
        {},
        baa=True,
        limits={},
        brands=None,
    )
    brand = await house.setup.require_brand("loop")
    settings = msgspec.structs.replace(
        brand.settings, senders=Senders(), routes=Routes(email=["mail", "sand"])
    )
    await brands.put_brand(house, loop_health, "loop", settings)
    made = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
    clock.advance(300)
    await worker.once()
    entries = await messages.timeline(house, loop_health, UUID(made["id"]))
    called = [entry["details"]["provider_id"] for entry in entries if entry["event"] == "attempted"]
    assert called == ["mail", "sand"]
    assert await status(house, loop_health, made["id"]) == "sent"
