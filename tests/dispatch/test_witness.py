"""A database that lacks what was acknowledged: nothing is sent in it until an operator says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from comms.actions import messages, metrics, sending
from comms.actions.health import examine
from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.store import history as rows
from comms.store import workers
from comms.testing import FakeClock
from tests.journeys.story import ask, ended, events, outbox, schedule, status, tools

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(house: House) -> AsyncIterator[House]:
    """What tests change and stays over them is put back."""
    owner = house.database.owner
    function = await owner.fetchval("select pg_get_functiondef('comms_history'::regproc)")
    yield house
    await owner.execute(function)
    await owner.execute(
        """update installation set paused_at = null, paused_reason = null, history = comms_history(), other = null,
                  other_since = null, resumed_at = '1970-01-01Z'"""
    )


@pytest.fixture
def worker(house: House, tmp_path: Path) -> Iterator[Worker]:
    built = Worker(house, tools(house), tmp_path)
    yield built
    built._witness.close()


async def beat(worker: Worker) -> None:
    await worker._report()


async def forget_the_last(house: House, what: str = "worker, witness") -> None:
    """As an older copy of the database would have it."""
    for table in what.split(", "):
        await house.database.owner.execute(f"update {table} set beat = beat - 2")


async def reason(house: House) -> str | None:
    return (await rows.state(house.database.owner)).paused_reason


async def promote(house: House) -> None:
    """Another timeline than a moment ago."""
    await house.database.owner.execute(
        "create or replace function comms_history() returns text language sql stable as $$ select '7/2' $$"
    )


async def test_a_worker_whose_reports_are_gone_sends_nothing_and_says_why(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    for _ in range(3):
        await beat(worker)
    await forget_the_last(house)
    assert await worker.once() == 0
    assert await reason(house) is None  # the claim itself found that; nothing else has compared yet
    await beat(worker)
    assert await reason(house) == "commits_lost"
    for _ in range(5):
        await beat(worker)
        assert await worker.once() == 0
    assert await status(house, loop_health, message_id) == "scheduled"
    [found] = [each for each in await examine(house) if each.what == "sending"]
    assert "lacks commits" in found.found
    assert "comms resume" in str(found.advice)
    assert b'comms_sending_paused{reason="commits_lost"} 1.0' in await metrics.scrape(house)
    other = Worker(house, tools(house))
    assert await other.once() == 0
    assert await sending.resume(house, loop_health, "send") == 0
    assert await worker.once() == 1
    assert await status(house, loop_health, message_id) == "sent"
    await beat(worker)
    assert await reason(house) is None


async def test_a_process_that_starts_holds_the_database_against_what_its_directory_remembers(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    for _ in range(3):
        await beat(worker)
    assert await Worker(house, tools(house), tmp_path).once() == 0
    assert await reason(house) is None
    await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await forget_the_last(house, "witness")
    for _ in range(2):
        assert await Worker(house, tools(house), tmp_path).once() == 0
        assert await reason(house) == "commits_lost"
    await sending.resume(house, loop_health, "send")
    assert (
        await Worker(house, tools(house), tmp_path).once() == 1
    )  # what was before that says nothing any more
    assert await reason(house) is None


async def test_a_witness_that_is_not_known_at_all_was_lost_too(
    house: House, worker: Worker, tmp_path: Path
) -> None:
    await beat(worker)
    await house.database.owner.execute("delete from witness")
    await beat(Worker(house, tools(house), tmp_path))
    assert await reason(house) == "commits_lost"


async def test_a_file_that_says_nothing_and_a_directory_that_can_not_be_written_are_no_reason(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    await beat(worker)
    [kept] = [each for each in (tmp_path / "witness").iterdir() if not each.suffix]
    kept.write_text("")
    await beat(Worker(house, tools(house), tmp_path))
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    assert await Worker(house, tools(house), nowhere).once() == 1
    assert await reason(house) is None


async def test_a_promotion_that_lacks_nothing_just_goes_on(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await schedule(house, loop_health, ask(clock, dedup_key="before"))
    await schedule(house, loop_health, ask(clock, dedup_key="after", after=timedelta(minutes=6)))
    clock.advance(300)
    assert await worker.once() == 1
    await promote(house)
    assert await worker.once() == 0
    clock.advance(60)
    assert await worker.once() == 1
    state = await rows.state(house.database.owner)
    assert (state.cleared, state.paused_at, state.other_since) == ("7/2", None, None)


async def test_a_promotion_that_lacks_a_mark_is_paused_by_the_one_who_remembers(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """Though the other one, which lacks nothing, is there first."""
    other = Worker(house, tools(house))
    await beat(other)
    message_id = await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    assert await worker.once() == 1
    owner = house.database.owner
    row = await owner.fetchrow("select bucket, id, brand_id, template_id from message")
    assert row
    await owner.execute("delete from delivery")
    await owner.execute("update message set outcome = null, sent_at = null")
    await owner.execute(
        """insert into queue (bucket, id, brand_id, template_id, due_at, deadline)
           values ($1, $2, $3, $4, $5, $5::timestamptz + interval '4 hours')""",
        *row,
        clock.now(),
    )
    await promote(house)
    await beat(other)
    assert await other.once() == 0  # it waits for everybody who may know better
    await beat(worker)
    assert await reason(house) == "commits_lost"
    assert (await other.once(), await worker.once()) == (0, 0)
    assert len(await outbox(house, loop_health)) == 1
    assert await sending.resume(house, loop_health, "expire") == 1
    assert await ended(house, loop_health, message_id) == ("expired", "may_have_been_sent")


async def test_a_worker_that_died_with_the_old_server_is_waited_for_no_longer_than_a_lease(
    house: House, worker: Worker
) -> None:
    before = (await rows.state(house.database.owner)).cleared
    await workers.report(house.database.engine, UUID(int=1), 0, timedelta(seconds=30), before)
    await beat(worker)
    await promote(house)
    await beat(worker)
    assert (await rows.state(house.database.owner)).cleared == before
    await house.database.owner.execute(
        "update installation set other_since = other_since - interval '31 seconds'"
    )
    await beat(worker)
    state = await rows.state(house.database.owner)
    assert (state.cleared, state.paused_at) == (state.history, None)


async def test_another_history_that_nobody_remembers_anything_of_is_paused(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await promote(house)
    fresh = Worker(house, tools(house))
    for _ in range(3):
        await beat(fresh)
        assert await fresh.once() == 0
    assert await reason(house) is None
    await house.database.owner.execute(
        "update installation set other_since = other_since - interval '31 seconds'"
    )
    await beat(fresh)
    assert await reason(house) == "nobody_remembers"
    assert await fresh.once() == 0


async def test_what_a_provider_knows_by_our_key_goes_and_the_rest_is_given_up(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    text = await schedule(house, loop_health, ask(clock, dedup_key="text"))
    item = await schedule(house, loop_health, ask(clock, "in_app", dedup_key="item"))
    later = await schedule(house, loop_health, ask(clock, dedup_key="later", after=timedelta(hours=1)))
    clock.advance(300)
    assert await sending.pause(house, loop_health)
    assert not await sending.pause(house, loop_health)
    found = {each.channel: (each.messages, each.is_safe) for each in await sending.doubtful(house)}
    assert found == {"sms": (1, False), "in_app": (1, True)}
    assert await sending.resume(house, loop_health, "safe") == 1
    assert await ended(house, loop_health, text) == ("expired", "may_have_been_sent")
    assert await events(house, loop_health, text) == ["accepted", "expired"]
    with pytest.raises(Refused) as refused:
        await messages.explain(house, loop_health, UUID(text))
    assert (refused.value.code, "restore" in refused.value.message) == ("not_decided", True)
    assert await worker.once() == 1
    assert await status(house, loop_health, item) == "sent"
    clock.advance(3300)
    assert await worker.once() == 1
    assert await status(house, loop_health, later) == "sent"


async def test_nothing_is_resumed_that_is_not_paused_or_under_a_claim(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    with pytest.raises(Refused) as refused:
        await sending.resume(house, loop_health, "send")
    assert refused.value.code == "not_paused"
    await schedule(house, loop_health, ask(clock))
    await house.database.owner.execute(
        "update queue set state = 'sending', owner = gen_random_uuid(), lease_until = now()"
    )
    await sending.pause(house, loop_health)
    with pytest.raises(Refused) as refused:
        await sending.resume(house, loop_health, "expire")
    assert refused.value.code == "claims_open"
    assert await reason(house) == "restored"


async def test_what_was_being_sent_when_sending_was_paused_is_doubtful_also_where_its_claim_lapsed_since(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await Worker(house, tools(house))._take(10)
    await sending.pause(house, loop_health)
    clock.advance(house.settings.lease_seconds + 1)
    await sweep(house)
    assert await sending.resume(house, loop_health, "expire") == 1
    assert await worker.once() == 0
    assert await ended(house, loop_health, message_id) == ("expired", "may_have_been_sent")
