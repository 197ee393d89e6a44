"""Content is over some time after its message has ended: it is erased, and what must stay stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from comms.actions import acceptance, audit, explanation, messages, notifications, retention
from comms.actions import events as hearing
from comms.actions.house import House
from comms.dispatch import closer
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.providers.events import Event
from comms.store import retention as rows
from comms.store.audit import Wanted
from comms.store.messages import Filter
from comms.testing import FakeClock
from tests.journeys.story import ask, change_brand, events, outbox, schedule, status

pytestmark = pytest.mark.anyio

DAY = 86_400.0
ME, OTHER = uuid4(), uuid4()


async def keep(house: House, owner: UUID = ME) -> dict[str, int]:
    return dict(await retention.keep(house, owner, pause=0))


async def content(house: House, message_id: str) -> dict[str, Any]:
    """What there is of a message that somebody could read with all keys at hand."""
    row = await house.database.owner.fetchrow(
        """select address <> '' as address, variables <> '' as variables, options is not null as options,
                  decision is not null as decision,
                  (select count(*) from delivery where message_id = m.id) as deliveries
             from message m where id = $1""",
        UUID(message_id),
    )
    assert row
    return dict(row)


NOTHING = {"address": False, "variables": False, "options": False, "decision": False, "deliveries": 0}


async def test_content_is_erased_when_its_days_are_over_and_not_before(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await change_brand(house, loop_health, retention_days=30)
    sent = await schedule(house, loop_health, ask(clock, dedup_key="sent"))
    item = await schedule(house, loop_health, ask(clock, "in_app", dedup_key="item"))
    cancelled = await schedule(house, loop_health, ask(clock, dedup_key="cancelled"))
    await messages.cancel(house, loop_health, UUID(cancelled))
    rejected = await schedule(house, loop_health, ask(clock, recipient="+15555550001", dedup_key="no"))
    all_of_them = (sent, item, cancelled, rejected)
    clock.advance(300)
    assert await worker.once() == 3
    before = [await messages.timeline(house, loop_health, UUID(each)) for each in all_of_them]
    clock.advance(30 * DAY - 299)
    assert await keep(house) == {"message": 1}  # the cancelled one; all were accepted so long ago
    clock.advance(298)
    assert await keep(house) == {}
    clock.advance(1)
    assert await keep(house) == {"message": 3, "delivery": 3, "inbox_item": 1}
    clock.advance(DAY)
    assert await keep(house) == {"sandbox_item": 1}
    assert [await content(house, each) for each in all_of_them] == [NOTHING] * 4
    assert await outbox(house, loop_health) == []
    assert await house.database.owner.fetchval("select count(*) from inbox_item") == 0
    assert [await status(house, loop_health, each) for each in all_of_them] == [
        "sent",
        "sent",
        "cancelled",
        "failed",
    ]
    assert [await messages.timeline(house, loop_health, UUID(each)) for each in all_of_them] == before
    found = await messages.find(house, loop_health, Filter("loop"), 10)
    assert {each["recipient"] for each in found} == {"erased"}
    with pytest.raises(Refused) as refused:
        await messages.explain(house, loop_health, UUID(sent))
    assert refused.value.code == "erased"
    assert (await explanation.verify(house)).differing == []


async def test_a_used_key_stays_used(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await change_brand(house, loop_health, retention_days=1)
    request = ask(clock)
    first = await schedule(house, loop_health, request)
    clock.advance(300)
    await worker.once()
    clock.advance(2 * DAY)
    await keep(house)
    again = await acceptance.schedule(house, loop_health, request)
    assert again.replayed
    assert (again.message["id"], again.message["status"]) == (first, "sent")
    assert (again.message["recipient"], again.message["dedup_key"]) == ("erased", "erased")
    with pytest.raises(Refused) as refused:
        await acceptance.schedule(house, loop_health, replace(request, variables={"name": "Bo"}))
    assert refused.value.code == "dedup_key_conflict"
    assert "variables" in refused.value.message
    clock.advance(300)
    assert await worker.once() == 0


async def test_what_waits_is_kept_however_old_it_is_and_counts_from_its_end(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await change_brand(house, loop_health, retention_days=1)
    waits = await schedule(house, loop_health, ask(clock, after=timedelta(days=10)))
    for _ in range(10):
        clock.advance(DAY)
        assert await keep(house) == {}
    assert await worker.once() == 1
    assert await status(house, loop_health, waits) == "sent"
    clock.advance(DAY - 1)
    assert await keep(house) == {}
    clock.advance(DAY)
    assert (await keep(house))["message"] == 1
    assert await house.database.owner.fetchval("select count(*) from retention_later") == 0


async def test_an_unknown_message_is_kept_until_somebody_knows(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await change_brand(house, loop_health, retention_days=1)
    lost = await schedule(house, loop_health, ask(clock, recipient="+15555550004"))
    clock.advance(300)
    await worker.once()
    clock.advance(5 * DAY)
    assert "message" not in await keep(house)
    await messages.settle(house, loop_health, UUID(lost), "failed")
    clock.advance(DAY + 1)
    assert (await keep(house))["message"] == 1
    assert await content(house, lost) == NOTHING


async def test_health_data_may_have_days_of_its_own(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await change_brand(house, loop_health, hipaa_retention_days=2)
    plain = await schedule(house, loop_health, ask(clock, "in_app", dedup_key="plain"))
    health = await schedule(house, loop_health, ask(clock, "in_app", dedup_key="health", hipaa=True))
    clock.advance(300)
    assert await worker.once() == 2
    clock.advance(3 * DAY)
    brand = await house.setup.require_brand("loop")
    assert await retention.foresee(house, "loop", brand.settings) == ("loop", 1, 1)
    await keep(house)
    assert await content(house, health) == NOTHING
    assert (await content(house, plain))["address"]
    await change_brand(house, loop_health, retention_days=2)
    await keep(house)
    assert await content(house, plain) == NOTHING


async def test_what_a_provider_reports_afterwards_changes_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await change_brand(house, loop_health, retention_days=1)
    sent = await schedule(house, loop_health, ask(clock, "email"))
    clock.advance(300)
    await worker.once()
    clock.advance(2 * DAY)
    await keep(house)
    before = await events(house, loop_health, sent)
    late = Event("late", "bounced", clock.now(), key=f"{sent}-0", reason="gone", for_good=True)
    await hearing.hear(house, "sand", [late])
    assert await events(house, loop_health, sent) == before
    assert await house.database.owner.fetchval("select count(*) from suppression") == 0


async def test_notifications_and_what_was_heard_are_gone_through_once_a_day(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    owner = house.database.owner
    await change_brand(house, loop_health, retention_days=40)
    new = notifications.New("visit", "Hello", "There is news.", None, {})
    await notifications.create(house, loop_health, "loop", "p1", new)
    await owner.execute("insert into provider_event values (60, 'sand', '\\x01', $1)", clock.now())
    clock.advance(31 * DAY)
    assert await keep(house) == {"provider_event": 1}
    clock.advance(9 * DAY + 1)
    assert await keep(house) == {"inbox_item": 1}
    await owner.execute("insert into provider_event values (60, 'sand', '\\x02', $1)", clock.now())
    clock.advance(30 * DAY - DAY / 2)
    assert await keep(house) == {}
    clock.advance(DAY * 0.9)
    assert await keep(house) == {}  # it is over, and was looked at today
    clock.advance(DAY * 0.1)
    assert await keep(house) == {"provider_event": 1}


async def test_one_worker_at_a_time_and_the_next_where_it_died(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await change_brand(house, loop_health, retention_days=1)
    await messages.cancel(house, loop_health, UUID(await schedule(house, loop_health, ask(clock))))
    clock.advance(2 * DAY)
    async with house.database.engine.acquire() as connection:
        assert await rows.take_turn(connection, OTHER, clock.now())
    assert await keep(house, ME) == {}
    clock.advance(61)
    assert (await keep(house, ME))["message"] == 1


async def test_it_goes_bite_by_bite_and_is_written_down(
    house: House, loop_health: Caller, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BITE", 3)
    await change_brand(house, loop_health, retention_days=1)
    made = [await schedule(house, loop_health, ask(clock, dedup_key=f"key-{n}")) for n in range(8)]
    for each in made[:5]:
        await messages.cancel(house, loop_health, UUID(each))
    clock.advance(2 * DAY)
    assert (await keep(house))["message"] == 5
    wanted = Wanted(action="content_erased")
    entries, _ = await audit.listed(house, loop_health, "loop", None, wanted, 10, None)
    told = [each["details"]["messages"] for each in entries]
    assert (sum(told), max(told) <= 3, len(told) > 1) == (5, True, True)
    await closer.close(house)
    assert (await audit.verify(house)).unchained == 0
    assert [await status(house, loop_health, each) for each in made] == ["cancelled"] * 5 + ["scheduled"] * 3


async def test_where_two_clocks_disagree_nothing_is_erased(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await change_brand(house, loop_health, retention_days=1)
    await messages.cancel(house, loop_health, UUID(await schedule(house, loop_health, ask(clock))))
    clock.advance(5 * DAY)
    real = clock.sql_now
    clock.sql_now = lambda: real() + timedelta(hours=2)  # type: ignore[method-assign]
    assert await keep(house) == {}
    clock.sql_now = real  # type: ignore[method-assign]
    clock.advance(7300)
    assert (await keep(house))["message"] == 1


async def test_its_statements_walk_along_an_index(house: House) -> None:
    """However much waits: no bite may read all of a table."""
    async with house.database.owner.acquire() as connection:
        await connection.execute("set enable_seqscan = off; set enable_bitmapscan = off")
        plan = await connection.fetch(
            """explain select bucket, id, hipaa, ended_at from message_end
                where brand_id = 'loop' and id > '00000000-0000-0000-0000-000000000000'
                  and id < 'ffffffff-0000-0000-0000-000000000000' order by id limit 500"""
        )
        await connection.execute("reset enable_seqscan; reset enable_bitmapscan")
        pages = await connection.fetch(
            """explain delete from provider_event where ctid >= '(0,0)'::tid and ctid < '(64,0)'::tid
                and heard_at < now()"""
        )
    assert any("message_newest" in row[0] for row in plan)
    assert not any("Sort" in row[0] for row in plan)
    assert any("Tid Range Scan" in row[0] for row in pages)
