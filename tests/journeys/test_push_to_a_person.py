"""A push to a person is one delivery a device, and one message."""

from __future__ import annotations

from uuid import UUID

import pytest

from comms.actions import acceptance, devices, messages, suppressions
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.testing import FakeClock
from tests.journeys.story import ask, outbox, status

pytestmark = pytest.mark.anyio


async def push(
    house: House, caller: Caller, clock: FakeClock, *tokens: str, recipient: str = "person"
) -> str:
    for token in tokens:
        await devices.put(house, caller, "loop", "p1", "fcm", token, None)
    made = await acceptance.schedule(house, caller, ask(clock, "push", recipient=recipient))
    clock.advance(300)
    message_id: str = made.message["id"]
    return message_id


async def taken(house: House, caller: Caller) -> list[str]:
    return sorted(item["recipient"] for item in await outbox(house, caller))


async def test_every_device_gets_it_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await push(house, loop_health, clock, "phone", "tablet", "phone")
    await worker.once()
    assert await taken(house, loop_health) == ["phone", "tablet"]
    assert await status(house, loop_health, message_id) == "sent"


async def test_without_a_device_it_fails_and_says_so(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await push(house, loop_health, clock)
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(message_id))
    assert (shown["status"], shown["failure_reason"]) == ("failed", "no_device")


async def test_one_that_took_it_is_enough(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await push(house, loop_health, clock, "a-reject", "b")
    await worker.once()
    assert await status(house, loop_health, message_id) == "sent"


async def test_if_all_refuse_it_fails(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await push(house, loop_health, clock, "a-reject", "b-reject")
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(message_id))
    assert shown["failure_reason"] == "provider_rejected: recipient_rejected"


async def test_only_the_device_that_was_busy_is_asked_again(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await push(house, loop_health, clock, "a", "b-flaky", "c-reject")
    await worker.once()
    assert await status(house, loop_health, message_id) == "scheduled"
    assert await taken(house, loop_health) == ["a"]
    await devices.put(house, loop_health, "loop", "p1", "fcm", "bought-meanwhile", None)
    for _ in range(2):
        clock.advance(10)
        await worker.once()
    assert await taken(house, loop_health) == ["a", "b-flaky"]
    assert await status(house, loop_health, message_id) == "sent"


async def test_a_lost_answer_waits_until_the_others_are_done(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    message_id = await push(house, loop_health, clock, "a-lost", "b-flaky")
    await worker.once()
    assert await status(house, loop_health, message_id) == "scheduled"
    for _ in range(2):
        clock.advance(10)
        await worker.once()
    assert await status(house, loop_health, message_id) == "unknown"
    assert await taken(house, loop_health) == ["a-lost", "b-flaky"]
    await messages.settle(house, loop_health, UUID(message_id), "retry")
    await worker.once()
    assert await taken(house, loop_health) == ["a-lost", "a-lost", "b-flaky"]


async def test_a_device_by_its_id_and_a_token_as_it_is(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    device = await devices.put(house, loop_health, "loop", "p1", "apns", "phone", "clinic")
    await push(house, loop_health, clock, recipient=device["id"])
    await worker.once()
    assert await taken(house, loop_health) == ["phone"]


async def test_a_device_changes_hands_and_is_forgotten(house: House, loop_health: Caller) -> None:
    device = await devices.put(house, loop_health, "loop", "p1", "fcm", "phone", None)
    again = await devices.put(house, loop_health, "loop", "p2", "fcm", "phone", None)
    assert again["id"] == device["id"]
    assert await devices.listed(house, loop_health, "loop", "p1") == []
    assert await devices.listed(house, loop_health, "loop", "p2") == [again]
    await devices.remove(house, loop_health, "loop", UUID(device["id"]))
    assert await devices.listed(house, loop_health, "loop", "p2") == []
    with pytest.raises(Refused, match="not_found"):
        await devices.remove(house, loop_health, "loop", UUID(device["id"]))


async def test_a_suppressed_device_gets_nothing_and_the_others_do(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await suppressions.add(house, loop_health, "loop", "tablet", "manual", "desk", "push")
    await suppressions.add(house, loop_health, "loop", "watch", "hard_bounce", "desk", "push")
    message_id = await push(house, loop_health, clock, "phone", "tablet", "watch")
    await worker.once()
    assert await taken(house, loop_health) == ["phone", "tablet"]  # transactional: manual does not stop it
    assert await status(house, loop_health, message_id) == "sent"


@pytest.mark.parametrize("recipient", ["person", "phone", "id"])
async def test_where_every_device_is_suppressed_the_message_is(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, recipient: str
) -> None:
    """By its token or by its id: it is one device."""
    device = await devices.put(house, loop_health, "loop", "p1", "fcm", "phone", None)
    made = await suppressions.add(house, loop_health, "loop", device["id"], "complaint", "desk", "push")
    again = await suppressions.add(house, loop_health, "loop", "phone", "complaint", "desk", "push")
    assert (made["device"], again["id"]) == (device["id"], made["id"])
    to = {"id": device["id"]}.get(recipient, recipient)
    message_id = await push(house, loop_health, clock, recipient=to)
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(message_id))
    assert (shown["status"], shown["failure_reason"]) == ("suppressed", "suppressed_complaint")
    explained = await messages.explain(house, loop_health, UUID(message_id))
    assert made["id"] in {each["id"] for each in explained["facts"]}
    assert await taken(house, loop_health) == []
