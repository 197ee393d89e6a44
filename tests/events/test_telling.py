"""Events out: what is told, to whom, in which order, how often, and never of whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from comms.actions import acceptance, consents, messages, subscriptions
from comms.actions.brands import put_brand
from comms.actions.house import House
from comms.actions.suppressions import add, lift
from comms.dispatch.closer import close
from comms.dispatch.emitter import Emitter, _Feed
from comms.dispatch.round import Round
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandSettings
from comms.domain.caller import Caller
from comms.providers.outward import Outward
from comms.store import subscriptions as rows
from comms.testing import FakeClock
from tests.events.receiver import Receiver, receiving
from tests.journeys.story import ask
from tests.providers.vendor_server import Asked, Said

pytestmark = pytest.mark.anyio


async def subscribe(house: House, caller: Caller, receiver: Receiver, *events: str) -> tuple[UUID, str]:
    made = await subscriptions.add(house, caller, "loop", receiver.url, list(events) or ["*"])
    return UUID(made["id"]), made["secret"]


async def schedule(house: House, caller: Caller, clock: FakeClock, key: str = "key-1", **changes: Any) -> str:
    wanted = ask(clock, dedup_key=key, after=timedelta(seconds=1), **changes)
    return str((await acceptance.schedule(house, caller, wanted)).message["id"])


async def send(house: House, caller: Caller, clock: FakeClock, worker: Worker, **changes: Any) -> str:
    message_id = await schedule(house, caller, clock, **changes)
    clock.advance(1)
    while await worker.once():
        pass
    return message_id


async def tell(house: House, emitter: Emitter) -> None:
    await close(house)
    while await emitter.once():
        pass


async def test_what_happened_is_told_in_order_and_signed_as_the_standard_says(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, emitter: Emitter, receiver: Receiver
) -> None:
    _, secret = await subscribe(house, loop_health, receiver)
    message_id = await send(house, loop_health, clock, worker)
    await tell(house, emitter)
    assert receiver.verified(secret) == receiver.told
    assert receiver.types == ["message.accepted", "message.sent"]
    about = {"message_id": message_id, "channel": "sms", "template_key": "visit", "brand_id": "loop"}
    assert receiver.told[0]["data"] == {**about, "status": "scheduled"}
    assert receiver.told[1]["data"] == {**about, "status": "sent", "attempt": 1, "provider_id": "sand"}
    timeline = await messages.timeline(house, loop_health, UUID(message_id))
    assert [each["timestamp"] for each in receiver.told] == [timeline[0]["at"], timeline[-1]["at"]]


async def test_only_what_was_asked_for_is_told_and_each_event_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver, "message.sent")
    for key in ("a", "b"):
        await send(house, loop_health, clock, worker, key=key)
        await tell(house, emitter)
    assert receiver.types == ["message.sent", "message.sent"]
    assert len(set(receiver.ids)) == 2


async def test_another_brand_hears_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, emitter: Emitter, receiver: Receiver
) -> None:
    await put_brand(house, loop_health, "other", BrandSettings(name="Other"))
    await subscriptions.add(house, loop_health, "other", receiver.url, ["*"])
    await send(house, loop_health, clock, worker)
    await tell(house, emitter)
    assert receiver.asked == []


async def test_nothing_of_a_person_is_told_and_of_health_data_only_ids(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver)
    canaries = {"person_id": "canary-person", "variables": {"name": "canary-name"}, "key": "canary-key"}
    await send(house, loop_health, clock, worker, recipient="+15555550199", **canaries)
    about = consents.About("loop", "canary-person", "sms", "canary")
    await consents.put_consent(house, loop_health, about, opted_in=False, source="canary-source")
    secret = await send(
        house, loop_health, clock, worker, channel="in_app", hipaa=True, **canaries | {"key": "canary-2"}
    )
    await tell(house, emitter)
    said = b"".join(each.body for each in receiver.asked).replace(b'"category":"canary"', b"")
    assert b"canary" not in said
    assert b"5550199" not in said
    assert [each["data"] for each in receiver.told if each["data"].get("message_id") == secret] == [
        {"brand_id": "loop", "message_id": secret, "status": status} for status in ("scheduled", "sent")
    ]
    assert {"consent.changed", "message.sent"} <= set(receiver.types)


async def test_a_refused_event_is_told_again_with_the_same_id_and_a_new_time(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    subscription_id, secret = await subscribe(house, loop_health, receiver)
    receiver.answer = lambda _asked: Said(500)
    await schedule(house, loop_health, clock)
    await tell(house, emitter)
    shown = await subscriptions.get(house, loop_health, subscription_id)
    assert (shown["state"], shown["problem"]) == ("failing", "answered_500")
    assert len(receiver.asked) == 1
    receiver.answer = lambda _asked: Said(200)
    clock.advance(3)
    await tell(house, emitter)
    assert receiver.ids[0] == receiver.ids[1]
    assert len(receiver.asked) == len(receiver.verified(secret)) == 2
    assert receiver.asked[0].headers["webhook-timestamp"] < receiver.asked[1].headers["webhook-timestamp"]
    assert (await subscriptions.get(house, loop_health, subscription_id))["state"] == "healthy"


async def test_a_worker_that_dies_between_call_and_record_has_it_told_again_with_the_same_id(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver)
    await schedule(house, loop_health, clock)
    await close(house)
    receiver.held.clear()
    dying = asyncio.create_task(emitter.once())
    await receiver.was_asked.wait()
    for task in emitter._busy.values():
        task.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    receiver.held.set()
    other = Emitter(house, UUID(int=2))
    assert await other.once() == 0  # it may still live
    clock.advance(91)
    await tell(house, other)
    assert len(receiver.asked) == 2
    assert len(set(receiver.ids)) == 1
    await tell(house, other)
    assert len(receiver.asked) == 2


async def test_who_has_lost_a_feed_records_nothing(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver)
    await schedule(house, loop_health, clock)
    await close(house)
    receiver.answer = lambda _asked: Said(500 if len(receiver.asked) == 1 else 200)
    first, second = await _round(house, emitter), Emitter(house, UUID(int=2))
    clock.advance(91)
    await second.once()
    assert len(set(receiver.ids)) == 1
    await first()
    assert await house.database.owner.fetchval("select waiting = '[]' and failures = 0 from feed")


async def _round(house: House, emitter: Emitter) -> Callable[[], Awaitable[None]]:
    """A round whose record comes when it is asked for."""
    [row] = await rows.lease(
        house.database.engine, house.clock.sql_now(), UUID(int=1), timedelta(seconds=90), 1
    )
    feed, now = _Feed(row), house.clock.now()
    made = Round(partial(emitter._call, feed), now.timestamp(), house.clock.monotonic)
    await made.go(await emitter._tried(feed, now.timestamp()), carefully=False)
    assert made.refused == 1

    async def record() -> None:
        assert not await emitter._record(feed, made, now, goes_on=False)

    return record


async def test_an_event_that_is_refused_holds_up_its_own_message_and_no_other(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver)
    poison = await schedule(house, loop_health, clock, "poison")

    def answer(asked: Asked) -> Said:
        data = asked.json["data"]
        assert isinstance(data, dict)
        return Said(400 if data["message_id"] == poison else 200)

    receiver.answer = answer
    others = [await schedule(house, loop_health, clock, f"key-{n}") for n in range(5)]
    clock.advance(1)
    await worker.once()
    await tell(house, emitter)
    told = [(each["data"]["message_id"], each["type"]) for each in receiver.told]
    for other in others:
        assert [kind for who, kind in told if who == other] == ["message.accepted", "message.sent"]
    assert [kind for who, kind in told if who == poison] == ["message.accepted"]
    receiver.answer = lambda _asked: Said(200)
    receiver.forget()
    clock.advance(2)
    await tell(house, emitter)
    assert receiver.types == ["message.accepted", "message.sent"]


async def test_a_receiver_that_takes_nothing_is_left_alone_longer_and_longer_and_then_gets_everything(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver)
    wanted = [await schedule(house, loop_health, clock, f"key-{n}") for n in range(40)]
    receiver.answer = lambda _asked: Said(503)
    await tell(house, emitter)
    assert len(receiver.asked) < 40
    receiver.forget()
    for _ in range(120):
        clock.advance(60)
        await tell(house, emitter)
    assert len(receiver.asked) < 30  # of 120 looks in two hours
    receiver.forget()
    receiver.answer = lambda _asked: Said(200)
    clock.advance(900)
    await tell(house, emitter)
    clock.advance(900)
    await tell(house, emitter)
    assert sorted(each["data"]["message_id"] for each in receiver.told) == sorted(wanted)


async def test_an_event_is_given_up_after_a_day_and_counted_and_a_replay_tells_it_again(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    subscription_id, _ = await subscribe(house, loop_health, receiver)
    happened = clock.now()
    await schedule(house, loop_health, clock)
    receiver.answer = lambda _asked: Said(500)
    for _ in range(30):
        await tell(house, emitter)
        clock.advance(3600)
    shown = await subscriptions.get(house, loop_health, subscription_id)
    assert (shown["missed"], shown["state"]) == (1, "failing")
    first = receiver.ids[0]
    receiver.forget()
    receiver.answer = lambda _asked: Said(200)
    await tell(house, emitter)
    assert receiver.asked == []
    span = (happened - timedelta(seconds=1), happened + timedelta(seconds=1))
    await subscriptions.replay(house, loop_health, subscription_id, *span)
    await tell(house, emitter)
    assert receiver.ids == [first]
    assert await house.database.owner.fetchval("select count(*) from feed") == 1


async def test_a_replay_tells_its_time_and_nothing_else(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, emitter: Emitter, receiver: Receiver
) -> None:
    subscription_id, _ = await subscribe(house, loop_health, receiver, "message.sent")
    moments, sent = [], []
    for n in range(4):
        moments.append(clock.now())
        sent.append(await send(house, loop_health, clock, worker, key=f"key-{n}"))
        clock.advance(600)
        await close(house)
    await tell(house, emitter)
    receiver.forget()
    await subscriptions.replay(house, loop_health, subscription_id, moments[1], moments[3])
    await tell(house, emitter)
    assert [each["data"]["message_id"] for each in receiver.told] == sent[1:3]


async def test_gone_disables_and_enabling_hears_of_what_comes(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    subscription_id, _ = await subscribe(house, loop_health, receiver)
    receiver.answer = lambda _asked: Said(410)
    for key in ("a", "b"):
        await schedule(house, loop_health, clock, key)
    await tell(house, emitter)
    shown = await subscriptions.get(house, loop_health, subscription_id)
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "gone")
    receiver.forget()
    receiver.answer = lambda _asked: Said(200)
    await schedule(house, loop_health, clock, "c")
    clock.advance(7200)
    await tell(house, emitter)
    assert receiver.asked == []
    await subscriptions.put(house, loop_health, subscription_id, receiver.url, ["*"], enabled=True)
    wanted = await schedule(house, loop_health, clock, "d")
    await tell(house, emitter)
    assert [each["data"]["message_id"] for each in receiver.told] == [wanted]


async def test_an_old_secret_signs_beside_the_new_one_until_its_end(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    subscription_id, old = await subscribe(house, loop_health, receiver)
    rotated = await subscriptions.rotate(house, loop_health, subscription_id, timedelta(minutes=2))
    await schedule(house, loop_health, clock, "a")
    await tell(house, emitter)
    assert receiver.verified(old) == receiver.verified(rotated["secret"])
    receiver.forget()
    clock.advance(121)
    await schedule(house, loop_health, clock, "b")
    await tell(house, emitter)
    assert len(receiver.verified(rotated["secret"])) == 1
    with pytest.raises(Exception, match="No matching signature"):
        receiver.verified(old)


async def test_a_slow_receiver_holds_up_no_other(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    async with receiving() as slow:
        slow.held.clear()
        await subscribe(house, loop_health, slow)
        await subscribe(house, loop_health, receiver)
        for n in range(40):
            await schedule(house, loop_health, clock, f"key-{n}")
        await close(house)
        telling = asyncio.create_task(emitter.once())
        async with asyncio.timeout(10):
            while len(receiver.asked) < 40:  # noqa: ASYNC110 - the receiver is no part of us
                await asyncio.sleep(0.001)
        assert slow.most_at_a_time <= 16
        slow.held.set()
        await telling
        assert len(slow.asked) == 40


async def test_a_test_by_hand_tells_whether_it_was_taken(
    house: House, loop_health: Caller, receiver: Receiver
) -> None:
    subscription_id, secret = await subscribe(house, loop_health, receiver)
    assert await subscriptions.test(house, loop_health, subscription_id) == {
        "delivered": True,
        "status": 200,
        "problem": None,
    }
    assert receiver.verified(secret)[0]["type"] == "comms.test"
    receiver.answer = lambda _asked: Said(302, headers={"Location": receiver.url})
    answered = await subscriptions.test(house, loop_health, subscription_id)
    assert answered == {"delivered": False, "status": 302, "problem": "answered_302"}
    assert len(receiver.asked) == 2


async def test_a_name_that_leads_inside_by_now_is_not_called(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    leads_to = ["93.184.216.34"]

    async def lookup(_host: str, _port: int) -> list[str]:
        return leads_to

    strict = Outward(lookup=lookup)
    object.__setattr__(house, "outward", strict)
    made = await subscriptions.add(house, loop_health, "loop", "https://hooks.example.org/in", ["*"])
    leads_to[:] = ["127.0.0.1"]
    await schedule(house, loop_health, clock)
    await tell(house, emitter)
    await strict.close()
    shown = await subscriptions.get(house, loop_health, UUID(made["id"]))
    assert (shown["state"], shown["problem"]) == ("failing", "address_refused")
    assert receiver.asked == []


async def test_entries_that_are_committed_late_are_told_in_their_place_and_none_is_passed_over(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver)
    async with house.database.engine.acquire() as connection:
        writing = connection.transaction()
        await writing.start()
        await connection.execute(
            "insert into ledger (bucket, message_id, brand_id, at, event)"
            " values (1, $1, 'loop', $2, 'delivered')",
            UUID(int=9),
            clock.now(),
        )
        await schedule(house, loop_health, clock)
        closing = asyncio.create_task(close(house))
        await asyncio.sleep(0.05)
        assert not closing.done()
        await writing.commit()
        assert await closing
    await tell(house, emitter)
    assert receiver.types == ["message.delivered", "message.accepted"]


async def test_a_lifted_suppression_is_told(
    house: House, loop_health: Caller, emitter: Emitter, receiver: Receiver
) -> None:
    await subscribe(house, loop_health, receiver, "suppression.added", "suppression.lifted")
    made = await add(house, loop_health, "loop", "ada@example.org", "manual", "test")
    await lift(house, loop_health, UUID(made["id"]))
    await tell(house, emitter)
    assert receiver.types == ["suppression.added", "suppression.lifted"]
    told = receiver.told[0]["data"]
    assert told == {"brand_id": "loop", "suppression_id": made["id"], "channel": "email", "reason": "manual"}


async def test_the_receiver_that_the_page_shows_knows_us_from_others(
    house: House, loop_health: Caller, clock: FakeClock, emitter: Emitter, receiver: Receiver
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    shown: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], shown)
    _, secret = await subscribe(house, loop_health, receiver)
    await schedule(house, loop_health, clock)
    await tell(house, emitter)
    (asked,) = receiver.asked
    assert shown["is_ours"](secret, asked.headers, asked.body)
    assert not shown["is_ours"](secret, asked.headers, asked.body + b" ")
    assert not shown["is_ours"](secret, asked.headers | {"webhook-timestamp": "1"}, asked.body)
