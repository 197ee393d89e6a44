"""Whom nobody may write to is not written to: what was committed before a message was claimed is obeyed."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comms.actions import (
    acceptance,
    brands,
    consents,
    devices,
    explanation,
    facts,
    messages,
    suppressions,
)
from comms.actions.acceptance import Request
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.templates import NewTemplate, add_version, create
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandSettings, Routes
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.options import Options
from comms.domain.schedule import DEFAULT_MAX_LATE, show
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS, ask, ended, events, outbox, schedule, status

pytestmark = pytest.mark.anyio

ADA = RECIPIENTS["email"]


@pytest.fixture
async def caller(house: House, loop_health: Caller) -> Caller:
    """The brand has a newsletter, too, on every channel."""
    for channel in RECIPIENTS:
        new = NewTemplate("loop", "letter", channel, None, "news", DEFAULT_MAX_LATE, "prefer_silence")
        template = await create(house, loop_health, new)
        await add_version(house, loop_health, UUID(template["id"]), {"subject": "News", "body": "Hi"})
    return loop_health


def letter(clock: FakeClock, channel: str = "email", **changes: Any) -> Request:
    return ask(clock, channel, template_key="letter", **changes)


async def opt(
    house: House, caller: Caller, *, opted_in: bool, channel: str = "email", who: str = "p1"
) -> Any:
    about = About("loop", who, channel, "news")
    return await consents.put_consent(house, caller, about, opted_in=opted_in, source="form")


async def switch(house: House, caller: Caller, *, enabled: bool, who: str = "p1") -> Any:
    return await consents.put_preference(house, caller, About("loop", who, "email", "news"), enabled=enabled)


async def suppress(house: House, caller: Caller, reason: Any, email: str = ADA) -> Any:
    return await suppressions.add(house, caller, "loop", email, reason, "desk")


@pytest.mark.parametrize("channel", RECIPIENTS)
async def test_without_consent_nothing_but_transactional_goes_on_any_channel(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, channel: str
) -> None:
    refused = await schedule(house, caller, letter(clock, channel))
    taken = await schedule(house, caller, ask(clock, channel, dedup_key="key-2"))
    clock.advance(300)
    await worker.once()
    assert await ended(house, caller, refused) == ("suppressed", "no_consent")
    assert await events(house, caller, refused) == ["accepted", "claimed", "suppressed"]
    assert await status(house, caller, taken) == "sent"


async def test_consent_to_one_channel_and_category_is_none_to_another(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await opt(house, caller, opted_in=True)
    made = [
        await schedule(house, caller, letter(clock, channel, dedup_key=channel))
        for channel in ("email", "sms")
    ]
    clock.advance(300)
    await worker.once()
    assert [await status(house, caller, each) for each in made] == ["sent", "suppressed"]


@pytest.mark.parametrize("reason", ["unsubscribe", "withdrawn", "switched_off", "hard_bounce", "manual"])
async def test_what_is_said_after_scheduling_reaches_what_waits(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, reason: str
) -> None:
    await opt(house, caller, opted_in=True)
    message_id = await schedule(house, caller, letter(clock))
    clock.advance(299)
    if reason == "unsubscribe":
        await consents.unsubscribe(house, caller, About("loop", "p1", "email", "news"))
    elif reason == "withdrawn":
        await opt(house, caller, opted_in=False)
    elif reason == "switched_off":
        await switch(house, caller, enabled=False)
    else:
        await suppress(house, caller, reason, "ADA@EXAMPLE.org")
    clock.advance(1)
    await worker.once()
    codes = {"unsubscribe": "opted_out", "withdrawn": "opted_out", "switched_off": "preference_off"}
    expected = codes.get(reason, f"suppressed_{reason}")
    assert await ended(house, caller, message_id) == ("suppressed", expected)
    assert await outbox(house, caller) == []


async def test_consent_that_comes_in_time_is_obeyed_as_well(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await consents.unsubscribe(house, caller, About("loop", "p1", "email", "news"))
    made = await suppress(house, caller, "hard_bounce")
    message_id = await schedule(house, caller, letter(clock))
    await opt(house, caller, opted_in=True)
    await suppressions.lift(house, caller, UUID(made["id"]))
    clock.advance(300)
    await worker.once()
    assert await status(house, caller, message_id) == "sent"


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("hard_bounce", ("suppressed", "suppressed_hard_bounce")),
        ("complaint", ("suppressed", "suppressed_complaint")),
        ("manual", ("sent", None)),
        ("unsubscribe", ("sent", None)),
    ],
)
async def test_transactional_mail_is_stopped_by_bounce_and_complaint_alone(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, reason: str, ends: tuple[str, str | None]
) -> None:
    await consents.unsubscribe(house, caller, About("loop", "p1", "email", "transactional"))
    await consents.put_preference(house, caller, About("loop", "p1", "email", "transactional"), enabled=False)
    await suppress(house, caller, reason)
    message_id = await schedule(house, caller, ask(clock, "email"))
    clock.advance(300)
    await worker.once()
    assert await ended(house, caller, message_id) == ends


async def test_a_suppression_is_of_one_brand_and_one_address(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await brands.put_brand(house, caller, "other", BrandSettings(name="Other", routes=Routes(email=["sand"])))
    await suppressions.add(house, caller, "other", ADA, "complaint", "desk")
    await suppress(house, caller, "complaint", "bob@example.org")
    message_id = await schedule(house, caller, ask(clock, "email"))
    clock.advance(300)
    await worker.once()
    assert await status(house, caller, message_id) == "sent"


async def test_an_opt_out_between_two_attempts_ends_it(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await opt(house, caller, opted_in=True)
    message_id = await schedule(house, caller, letter(clock, recipient="flaky@example.org"))
    clock.advance(300)
    await worker.once()
    assert await status(house, caller, message_id) == "scheduled"
    await opt(house, caller, opted_in=False)
    clock.advance(10)
    await worker.once()
    assert await ended(house, caller, message_id) == ("suppressed", "opted_out")
    assert await outbox(house, caller) == []


async def test_what_may_have_been_taken_is_not_called_suppressed(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    await opt(house, caller, opted_in=True, channel="push")
    for token in ("a-lost", "b-flaky"):
        await devices.put(house, caller, "loop", "p1", "fcm", token, None)
    message_id = await schedule(house, caller, letter(clock, "push", recipient="person"))
    clock.advance(300)
    await worker.once()
    await opt(house, caller, opted_in=False, channel="push")
    clock.advance(10)
    await worker.once()
    assert await ended(house, caller, message_id) == ("unknown", None)
    assert [item["recipient"] for item in await outbox(house, caller)] == ["a-lost"]


async def test_the_explanation_names_the_rows_that_it_rests_on(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    consent = await opt(house, caller, opted_in=True)
    off = await switch(house, caller, enabled=False)
    bounce = await suppress(house, caller, "manual")
    message_id = await schedule(house, caller, letter(clock))
    clock.advance(300)
    await worker.once()
    explained = await messages.explain(house, caller, UUID(message_id))
    assert (explained["verdict"], explained["rule"]) == ("suppress", "suppressed_manual")
    since = "2030-01-01T12:00:00.000Z"
    category, *evidence = [each for each in explained["facts"] if "says" in each]
    assert (category["kind"], category["says"]) == ("category", "news")
    assert sorted(evidence, key=lambda each: str(each["kind"])) == [
        {"kind": "consent", "id": consent["id"], "says": "opted_in", "since": since},
        {"kind": "preference", "id": off["id"], "says": "disabled", "since": since},
        {"kind": "suppression", "id": bounce["id"], "says": "manual", "since": since},
    ]


async def test_send_answers_at_once_what_is_certain_and_spends_no_key(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    now = replace(letter(clock), scheduled_at=None)
    with pytest.raises(Refused) as refused:
        await acceptance.schedule(house, caller, now)
    assert (refused.value.status, refused.value.code) == (422, "no_consent")
    await opt(house, caller, opted_in=True)
    await suppress(house, caller, "hard_bounce", "ada@EXAMPLE.org")
    with pytest.raises(Refused) as refused:
        await acceptance.schedule(house, caller, now)
    assert (refused.value.status, refused.value.code) == (422, "suppressed_hard_bounce")
    await suppressions.lift(house, caller, UUID((await found(house, caller))["id"]))
    message_id = await schedule(house, caller, now)
    await consents.unsubscribe(house, caller, About("loop", "p1", "email", "news"))
    await worker.once()
    assert await ended(house, caller, message_id) == ("suppressed", "opted_out")
    with pytest.raises(Refused, match="dedup_key_used"):
        await acceptance.schedule(house, caller, now)


async def found(house: House, caller: Caller) -> dict[str, Any]:
    standing = await suppressions.of_address(house, caller, "loop", ADA)
    assert standing
    return standing


async def test_a_batch_is_judged_each_by_its_own_facts(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    """Neighbours in one round trip: every third has consented, every fifth is suppressed."""
    made = []
    for number in range(30):
        who, address = f"p{number}", f"a{number}@example.org"
        if number % 3 == 0:
            await opt(house, caller, opted_in=True, who=who)
        if number % 5 == 0:
            await suppress(house, caller, "complaint", address)
        request = letter(clock, person_id=who, recipient=address, dedup_key=who)
        made.append(await schedule(house, caller, request))
    clock.advance(300)
    await worker.once()
    expected = [
        "suppressed_complaint" if number % 5 == 0 else None if number % 3 == 0 else "no_consent"
        for number in range(30)
    ]
    assert [(await ended(house, caller, each))[1] for each in made] == expected


async def test_while_persons_opt_out_each_message_ends_as_its_evidence_says(
    house: House, caller: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = []
    for number in range(40):
        await opt(house, caller, opted_in=True, who=f"p{number}")
        request = letter(clock, person_id=f"p{number}", dedup_key=f"key-{number}")
        made.append(await schedule(house, caller, request))
    clock.advance(300)
    outs = [
        consents.unsubscribe(house, caller, About("loop", f"p{number}", "email", "news"))
        for number in range(0, 40, 2)
    ]
    await asyncio.gather(*outs[:10])
    await asyncio.gather(worker.once(), *outs[10:])
    ends = []
    for message_id in made:
        explained = await messages.explain(house, caller, UUID(message_id))
        says = next(each["says"] for each in explained["facts"] if each["kind"] == "consent")
        ends.append(await status(house, caller, message_id))
        assert ends[-1] == {"opted_in": "sent", "opted_out": "suppressed"}[says]
    assert set(ends[0:20:2]) == {"suppressed"}
    assert set(ends[1::2]) == {"sent"}


_NUMBERS = itertools.count()
STEPS = (
    "opt_in", "opt_out", "switch_on", "switch_off", "suppress", "bounce", "lift", "so", "not_so", "reschedule", "cancel",
    "claim", "hand_over",
)  # fmt: skip


@given(st.lists(st.sampled_from(STEPS), max_size=14))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_in_whatever_order_what_was_committed_before_the_claim_is_obeyed(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, steps: list[str]
) -> None:
    story = _Story(house, caller, clock, worker)
    await story.begin()
    for step in (*steps, "claim", "hand_over"):
        await getattr(story, step)()
    await story.check()


class _Story:
    """One person, one message, and what may be expected of it."""

    def __init__(self, house: House, caller: Caller, clock: FakeClock, worker: Worker) -> None:
        self.all = (house, caller)
        self.clock, self.worker = clock, worker
        self.who = f"person-{next(_NUMBERS)}"
        self.address = f"{self.who}@example.org"
        self.said: dict[str, bool] = {"consent": False, "on": True, "free": True, "so": False}
        self.standing: set[str] = set()
        self.stood: set[str] = set()
        self.claims: list[Any] = []
        self.is_claimed = False
        self.forbidden_at_claim: set[str] = set()
        self.forbidden_since: set[str] = set()
        self.is_cancelled = False

    async def begin(self) -> None:
        names = {"person_id": self.who, "recipient": self.address, "dedup_key": self.who}
        request = letter(self.clock, **names, options=Options(send_if={self.who: "so"}))
        self.id = await schedule(*self.all, request)

    async def opt_in(self) -> None:
        await opt(*self.all, opted_in=True, who=self.who)
        self.said["consent"] = True

    async def opt_out(self) -> None:
        await consents.unsubscribe(*self.all, About("loop", self.who, "email", "news"))
        self.said["consent"] = False

    async def switch_on(self) -> None:
        await switch(*self.all, enabled=True, who=self.who)
        self.said["on"] = True

    async def switch_off(self) -> None:
        await switch(*self.all, enabled=False, who=self.who)
        self.said["on"] = False

    async def suppress(self) -> None:
        await self.stop("unsubscribe")

    async def bounce(self) -> None:
        await self.stop("hard_bounce")

    async def stop(self, reason: str) -> None:
        self.standing.add((await suppress(*self.all, reason, self.address))["id"])
        self.said["free"] = False

    async def lift(self) -> None:
        for each in self.standing:
            await suppressions.lift(*self.all, UUID(each))
        self.standing.clear()
        self.said["free"] = True

    async def so(self) -> None:
        await facts.put(*self.all, "loop", self.who, "so")
        self.said["so"] = True

    async def not_so(self) -> None:
        await facts.put(*self.all, "loop", self.who, "not so")
        self.said["so"] = False

    async def reschedule(self) -> None:
        change = messages.Change(scheduled_at=show(self.clock.now() + timedelta(minutes=7)))
        try:
            await messages.change(*self.all, UUID(self.id), change)
        except Refused:
            assert self.is_cancelled or self.is_claimed

    async def cancel(self) -> None:
        try:
            await messages.cancel(*self.all, UUID(self.id))
            self.is_cancelled = True
        except Refused:
            assert self.is_claimed

    async def claim(self) -> None:
        self.clock.advance(600)
        claims = await self.worker._take(100)
        if claims:
            assert not self.is_cancelled
            self.claims, self.is_claimed = claims, True
            self.forbidden_at_claim = self.forbidden()

    def forbidden(self) -> set[str]:
        return {name for name, allows in self.said.items() if not allows}

    async def hand_over(self) -> None:
        if self.claims:
            self.forbidden_since, self.stood = self.forbidden(), set(self.standing)
        self.worker._start(self.claims, self.worker._lease_ends())
        self.claims = []
        await asyncio.gather(*self.worker._in_flight.values())

    async def check(self) -> None:
        """Sent once or not at all; what forbade it before the claim, and stood, forbade it."""
        status_now, reason = await ended(*self.all, self.id)
        sent = [item for item in await outbox(*self.all) if item["recipient"] == self.address]
        assert len(sent) == (status_now == "sent")
        if self.is_cancelled:
            assert status_now == "cancelled"
            return
        if self.forbidden_at_claim & self.forbidden_since:
            assert status_now == "suppressed"
        assert status_now == ("suppressed" if self.forbidden_since else "sent")
        codes = {
            "consent": {"no_consent", "opted_out"},
            "on": {"preference_off"},
            "free": {"suppressed_unsubscribe", "suppressed_hard_bounce"},
            "so": {"guard_not_met"},
        }
        assert reason is None or any(reason in codes[name] for name in self.forbidden_since)
        await self.check_evidence()

    async def check_evidence(self) -> None:
        """Every row that stood is named, and the verdict follows from them."""
        row = await self.all[0].database.owner.fetchrow("select * from message where id = $1", UUID(self.id))
        assert row is not None
        assert explanation.follows(row["decision"])
        named = {each["id"] for each in row["decision"]["facts"] if each["kind"] == "suppression"}
        assert named == self.stood
