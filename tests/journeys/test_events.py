"""What providers say afterwards: on the timeline once, obeyed at once, and nothing more than it says."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from comms.actions import acceptance, brands, devices, messages, suppressions, templates
from comms.actions import events as actions
from comms.actions.acceptance import Request
from comms.actions.house import House
from comms.dispatch.sweep import sweep
from comms.dispatch.work import Attempt
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.permission import Reason
from comms.providers.base import Accepted, Lost, Outcome, Outgoing
from comms.providers.catalogue import KINDS
from comms.providers.events import Event, Happening, Inbound
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS, ask, events, status

pytestmark = pytest.mark.anyio

ADA = RECIPIENTS["email"]


async def schedule(house: House, caller: Caller, request: Request) -> str:
    message_id: str = (await acceptance.schedule(house, caller, request)).message["id"]
    return message_id


async def sent(house: House, caller: Caller, clock: FakeClock, worker: Worker, **changes: Any) -> str:
    """An e-mail that the sandbox took, or whatever its recipient makes of it."""
    channel = changes.pop("channel", "email")
    made = await schedule(house, caller, ask(clock, channel, **changes))
    clock.advance(300)
    await worker.once()
    return made


def of(clock: FakeClock, message_id: str, event: Any, **changes: Any) -> Event:
    """An event about a message, as an adapter reads it."""
    known = {"id": f"{message_id}/{event}/{changes.get('at')}", "event": event, "at": clock.now()}
    return Event(**{**known, "key": f"{message_id}-0", **changes})


async def hear(house: House, *happenings: Happening, by: str = "sand") -> None:
    await actions.hear(house, by, list(happenings))


async def ended(house: House, caller: Caller, message_id: str) -> tuple[str, str | None]:
    shown = await messages.get_scheduled(house, caller, UUID(message_id))
    return shown["status"], shown["failure_reason"]


async def suppressed(house: House, caller: Caller, email: str = ADA) -> str | None:
    standing = await suppressions.of_address(house, caller, "loop", email)
    return standing["reason"] if standing else None


async def test_an_event_is_on_the_timeline_once_with_the_providers_time(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await sent(house, loop_health, clock, worker)
    told = of(clock, made, "delivered", at=clock.now() - timedelta(seconds=90))
    for _ in range(3):
        await hear(house, told, told)
    await asyncio.gather(*(hear(house, told) for _ in range(5)))
    last = (await messages.timeline(house, loop_health, UUID(made)))[-1]
    assert last == {
        "at": "2030-01-01T12:03:30.000Z",
        "event": "delivered",
        "details": {"provider_id": "sand"},
    }
    assert (await events(house, loop_health, made)).count("delivered") == 1
    assert await status(house, loop_health, made) == "sent"


async def test_what_is_heard_changes_no_status_but_an_unknown_one(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await sent(house, loop_health, clock, worker)
    told = ("bounced", "failed", "deferred", "delivered", "opened", "clicked", "read", "accepted")
    await hear(house, *(of(clock, made, event, reason="vendor_7") for event in told))
    assert await ended(house, loop_health, made) == ("sent", None)
    timeline = (await messages.timeline(house, loop_health, UUID(made)))[-7:]
    assert [each["event"] for each in timeline] == list(told[:-1])  # `accepted` is our own word there
    assert {each["details"]["reason"] for each in timeline} == {"vendor_7"}


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ("delivered", ("sent", None)),
        ("accepted", ("sent", None)),
        ("complained", ("sent", None)),
        ("failed", ("failed", "provider_rejected: vendor_7")),
        ("bounced", ("failed", "provider_rejected: vendor_7")),
        ("unsubscribed", ("unknown", None)),
    ],
)
async def test_an_event_settles_what_was_unknown(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, told: str, ends: Any
) -> None:
    made = await sent(house, loop_health, clock, worker, recipient="lost@example.org")
    assert await status(house, loop_health, made) == "unknown"
    await hear(house, of(clock, made, told, reason="vendor_7"))
    assert await ended(house, loop_health, made) == ends
    await hear(house, of(clock, made, "failed", at=clock.now()), of(clock, made, "delivered", at=clock.now()))
    if ends[0] != "unknown":
        assert await ended(house, loop_health, made) == ends  # what is final stays
        said = [
            each
            for each in await messages.timeline(house, loop_health, UUID(made))
            if each["event"] == "settled"
        ]
        assert [each["details"] for each in said] == [{"outcome": ends[0], "provider_id": "sand"}]


async def test_of_many_devices_the_last_doubt_settles(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    for token in ("a-lost", "b-lost", "c-reject"):
        await devices.put(house, loop_health, "loop", "p1", "fcm", token, None)
    made = await sent(house, loop_health, clock, worker, channel="push", recipient="person")
    assert await status(house, loop_health, made) == "unknown"
    doubtful = [n for n in range(3) if await _outcome(house, made, n) == "lost"]
    first, second = (f"{made}-{n}" for n in doubtful)
    await hear(house, of(clock, made, "failed", key=first, id="1", reason="gone"))
    assert await status(house, loop_health, made) == "unknown"
    await hear(house, of(clock, made, "delivered", key=second, id="2"))
    assert await ended(house, loop_health, made) == ("sent", None)


async def _outcome(house: House, message_id: str, n: int) -> Any:
    asked = "select outcome from delivery where message_id = $1 and n = $2"
    return await house.database.owner.fetchval(asked, UUID(message_id), n)


class Quick:
    """A provider that reports before it answers, as a webhook may that outruns the answer."""

    def __init__(self, house: House, told: Any, outcome: Outcome) -> None:
        self.house, self.told, self.outcome = house, told, outcome
        self.called = 0

    async def send(self, outgoing: Outgoing) -> Outcome:
        self.called += 1
        event = Event(f"{self.called}/{self.told}", self.told, self.house.clock.now(), outgoing.key)
        await actions.hear(self.house, outgoing.provider_id, [event])
        return self.outcome

    async def close(self) -> None:
        """Nothing is held."""


async def quick(
    house: House, caller: Caller, monkeypatch: pytest.MonkeyPatch, told: str, outcome: Outcome, **kind: Any
) -> Quick:
    made = Quick(house, told, outcome)
    monkeypatch.setitem(KINDS, "quick", replace(KINDS["sandbox"], build=lambda _s, _k, _t: made, **kind))
    shared = {"baa": True, "limits": {}, "brands": None}
    await brands.put_provider(house, caller, "quick", "quick", {}, {}, **shared)  # type: ignore[arg-type]
    brand = await house.setup.require_brand("loop")
    routes = msgspec.structs.replace(brand.settings.routes, sms=["quick"])
    await brands.put_brand(house, caller, "loop", msgspec.structs.replace(brand.settings, routes=routes))
    return made


@pytest.mark.parametrize(("told", "ends"), [("delivered", "sent"), ("failed", "failed")])
async def test_a_report_that_outruns_a_lost_answer_counts_for_it(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    monkeypatch: Any,
    told: str,
    ends: str,
) -> None:
    await quick(house, loop_health, monkeypatch, told, Lost("reset"))
    made = await sent(house, loop_health, clock, worker, channel="sms")
    assert await status(house, loop_health, made) == ends
    assert await events(house, loop_health, made) == [
        "accepted", "claimed", "attempted", told, "unknown", "settled",
    ]  # fmt: skip


async def test_a_report_that_outruns_an_answer_changes_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, monkeypatch: Any
) -> None:
    await quick(house, loop_health, monkeypatch, "failed", Accepted("ref"))
    made = await sent(house, loop_health, clock, worker, channel="sms")
    assert await ended(house, loop_health, made) == ("sent", None)


async def test_what_was_delivered_is_not_handed_over_again(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, monkeypatch: Any
) -> None:
    """Its template prefers a duplicate to silence; there is no silence."""
    provider = await quick(house, loop_health, monkeypatch, "delivered", Lost("reset"))
    new = templates.NewTemplate("loop", "code", "sms", None, "transactional", 3600, "prefer_duplicate")
    made = await templates.create(house, loop_health, new)
    await templates.add_version(house, loop_health, UUID(made["id"]), {"body": "Hi"})
    code = await sent(house, loop_health, clock, worker, channel="sms", template_key="code")
    assert await status(house, loop_health, code) == "scheduled"
    clock.advance(60)
    await worker.once()
    assert await status(house, loop_health, code) == "sent"
    assert provider.called == 1


async def test_a_report_about_a_call_of_a_dead_worker_settles_it(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await schedule(house, loop_health, ask(clock, "email"))
    clock.advance(300)
    [claim] = await worker._take(10)
    work = await worker._pipeline._prepare(Attempt(claim, worker._lease_ends()))
    assert await worker._pipeline._freeze(work, await worker._pipeline._calls(work))
    await hear(house, of(clock, made, "delivered"))
    clock.advance(house.settings.lease_seconds + 1)
    await sweep(house)
    assert await status(house, loop_health, made) == "sent"


async def test_another_providers_word_about_a_message_counts_for_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await sent(house, loop_health, clock, worker, recipient="lost@example.org")
    before = await events(house, loop_health, made)
    await hear(house, of(clock, made, "bounced", for_good=True), by="box")
    await hear(house, of(clock, made, "delivered", key=f"{made}-1"), of(clock, str(uuid4()), "delivered"))
    await hear(house, of(clock, made, "delivered", key=None, reference=f"{made}-0", id="r"))
    assert await events(house, loop_health, made) == before
    assert await status(house, loop_health, made) == "unknown"
    assert await suppressed(house, loop_health, "lost@example.org") is None


async def test_who_reads_health_data_is_not_followed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    shared = {"baa": True, "limits": {}, "brands": None}
    await brands.put_provider(house, loop_health, "sand", "sandbox", {}, {}, **shared)  # type: ignore[arg-type]
    made = await sent(
        house,
        loop_health,
        clock,
        worker,
        hipaa=True,
        variables={},
        template_key=await plain(house, loop_health),
    )
    await hear(house, *(of(clock, made, event) for event in ("delivered", "opened", "clicked")))
    assert (await events(house, loop_health, made))[-2:] == ["sent", "delivered"]


async def plain(house: House, caller: Caller) -> str:
    new = templates.NewTemplate("loop", "plain", "email", None, "transactional", 3600, "prefer_silence")
    made = await templates.create(house, caller, new)
    await templates.add_version(house, caller, UUID(made["id"]), {"subject": "Hello", "body": "Hello"})
    return "plain"


@pytest.mark.parametrize(
    ("told", "for_good", "reason", "transactional"),
    [
        ("bounced", True, "hard_bounce", "suppressed"),
        ("bounced", False, None, "sent"),
        ("complained", False, "complaint", "suppressed"),
        ("unsubscribed", False, "unsubscribe", "sent"),
        ("failed", False, None, "sent"),
    ],
)
async def test_what_is_reported_reaches_what_waits(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    told: str,
    for_good: bool,  # noqa: FBT001 - a table's column
    reason: Reason | None,
    transactional: str,
) -> None:
    made = await sent(house, loop_health, clock, worker)
    waits = await schedule(house, loop_health, ask(clock, "email", dedup_key="key-2"))
    await hear(house, of(clock, made, told, for_good=for_good))
    assert await suppressed(house, loop_health) == reason
    clock.advance(300)
    await worker.once()
    assert await status(house, loop_health, waits) == transactional


@pytest.mark.parametrize("channel", ["email", "sms", "push"])
async def test_the_sandbox_bounces_as_a_vendor_does(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, channel: str
) -> None:
    recipient = {"email": "bounce@example.org", "sms": "+15555550005", "push": "person"}[channel]
    await devices.put(house, loop_health, "loop", "p1", "fcm", "token-bounce", None)
    waits = ask(clock, channel, recipient=recipient, after=timedelta(minutes=9), dedup_key="key-2")
    waiting = await schedule(house, loop_health, waits)
    made = await sent(house, loop_health, clock, worker, channel=channel, recipient=recipient)
    assert "bounced" in await events(house, loop_health, made)
    clock.advance(300)
    await worker.once()
    expected = ("failed", "no_device") if channel == "push" else ("suppressed", "suppressed_hard_bounce")
    assert await ended(house, loop_health, waiting) == expected
    assert await devices.listed(house, loop_health, "loop", "p1") == [] or channel != "push"


async def test_what_comes_after_a_bounce_does_not_lift_it(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await sent(house, loop_health, clock, worker)
    await hear(house, of(clock, made, "bounced", for_good=True))
    await hear(house, of(clock, made, "delivered"), of(clock, made, "opened"))
    assert await suppressed(house, loop_health) == "hard_bounce"
    assert (await events(house, loop_health, made))[-3:] == ["bounced", "delivered", "opened"]


async def test_a_bounce_of_before_a_suppression_was_lifted_does_not_bring_it_back(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await sent(house, loop_health, clock, worker)
    first = of(clock, made, "bounced", for_good=True)
    await hear(house, first)
    standing = await suppressions.of_address(house, loop_health, "loop", ADA)
    assert standing
    clock.advance(60)
    await suppressions.lift(house, loop_health, UUID(standing["id"]))
    clock.advance(60)
    await hear(house, first, replace(first, id="late", at=first.at + timedelta(seconds=30)))
    assert await suppressed(house, loop_health) is None
    await hear(house, replace(first, id="new", at=clock.now()))
    assert await suppressed(house, loop_health) == "hard_bounce"


async def test_a_provider_that_knows_its_own_name_only_is_understood(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, monkeypatch: Any
) -> None:
    monkeypatch.setattr(actions, "_SECOND_LOOK", 0)
    await quick(house, loop_health, monkeypatch, "accepted", Accepted("ref-1"), echoes_key=False)
    made = await sent(house, loop_health, clock, worker, channel="sms")
    told = of(clock, made, "delivered", key=None)
    await hear(house, replace(told, id="1", reference="ref-2"), by="quick")
    await hear(house, replace(told, id="2", reference="ref-1"), by="sand")
    assert (await events(house, loop_health, made))[-1] == "sent"
    await hear(house, replace(told, id="3", reference="ref-1"), by="quick")
    assert (await events(house, loop_health, made))[-1] == "delivered"


class _Storm:
    """What is true of sixty messages, and what is not, seeded."""

    def __init__(self, clock: FakeClock, ids: list[str]) -> None:
        self.clock, self.ids = clock, ids
        self.chance = random.Random(20261124)
        self.bounced = set(ids[::5])
        self.true = [
            self.event(each, event) for each in ids for event in ("accepted", "deferred", "delivered")
        ]
        self.true += [self.event(each, "bounced", for_good=True) for each in self.bounced]

    def event(self, message_id: str, event: str, **changes: Any) -> Event:
        ago = timedelta(seconds=self.chance.randrange(7000))
        return of(self.clock, message_id, event, at=self.clock.now() - ago, **changes)

    def _some(self, many: int) -> list[Event]:
        return self.chance.choices(self.true, k=many)

    def said(self) -> list[Happening]:
        """All that is true, over and over, among what is of nobody, of no delivery, or of no text."""
        bounces = [replace(each, event="bounced", for_good=True) for each in self._some(2000)]
        said: list[Happening] = [*self.true, *self._some(6000)]
        said += [replace(each, id=f"nobody-{n}", key=f"{uuid4()}-0") for n, each in enumerate(bounces)]
        said += [
            replace(each, id=f"none-{n}", key=f"{self.chance.choice(self.ids)}-7")
            for n, each in enumerate(bounces[:1000])
        ]
        said += [replace(each, id=f"keyless-{n}", key=None) for n, each in enumerate(bounces[:1000])]
        said += [
            Inbound(f"text-{n}", self.clock.now(), f"+1555555{n:04}", "+15555550100", "hello")
            for n in range(200)
        ]
        self.chance.shuffle(said)
        return said


async def everything(house: House) -> tuple[Any, ...]:
    """What there is of timelines, suppressions and statuses."""
    owner = house.database.owner
    timelines = Counter(tuple(row) for row in await owner.fetch("select message_id, event from ledger"))
    standing = await owner.fetchval("select count(*) from suppression where lifted_at is null")
    states = await owner.fetch("select id::text, status, failure_reason from message_now order by id")
    return timelines, standing, [tuple(row) for row in states]


async def test_ten_thousand_replayed_reordered_and_invented_events_change_nothing_that_they_should_not(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    """Then all of it comes again. A quarter of the messages were unknown before."""
    for number in range(60):
        recipient = f"{'lost' if number % 4 == 3 else 'ada'}@h{number}.example"
        await schedule(
            house, loop_health, ask(clock, "email", recipient=recipient, dedup_key=f"key-{number}")
        )
    clock.advance(300)
    while await worker.once():
        pass
    _, _, before = await everything(house)
    clock.advance(7200)
    storm = _Storm(clock, [each for each, *_ in before])
    said = storm.said()
    strangers = [storm.event(each, "complained") for each in storm.ids]
    assert len(said) >= 10_000
    calls = [said[first : first + 250] for first in range(0, len(said), 250)]
    await asyncio.gather(*(hear(house, *call) for call in calls), hear(house, *strangers, by="box"))

    timelines, standing, states = await everything(house)
    expected = {
        "deferred": set(storm.ids),
        "delivered": set(storm.ids),
        "bounced": storm.bounced,
        "complained": set(),
    }
    for event, whose in expected.items():
        assert {each: timelines[UUID(each), event] for each in storm.ids} == {
            each: int(each in whose) for each in storm.ids
        }
    assert standing == len(storm.bounced)
    unknown = {each for each, now, _ in before if now == "unknown"}
    assert len(unknown) == 15
    for each, now, _ in states:
        assert now == "sent" or (now == "failed" and each in unknown & storm.bounced)
    for call in storm.chance.sample(calls, len(calls)):
        await hear(house, *call)
    assert await everything(house) == (timelines, standing, states)
