"""Ten thousand calls of a vendor: forged, replayed, reordered and doubled. They change what is true, once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from comms.actions import acceptance, brands, webhooks
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.providers.events import Incoming
from comms.providers.http import Http
from comms.testing import FakeClock
from tests.journeys.story import ask, tools
from tests.providers.signing import BY_KIND, Folded
from tests.providers.vendor_cases import SENDGRID
from tests.providers.vendor_server import vendor

pytestmark = pytest.mark.anyio

CALLS, MESSAGES, AT_ONCE = 10_000, 40, 50
TRUE = ("processed", "deferred", "delivered")


@pytest.fixture
async def sent(house: House, loop_health: Caller, clock: FakeClock) -> AsyncIterator[list[str]]:
    """Messages that the vendor took, by id."""
    async with vendor(SENDGRID.taken) as server, Http() as http:
        settings = {"base_url": server.url}
        secrets: dict[str, str | None] = {**SENDGRID.secrets, **BY_KIND["sendgrid"].secrets}
        shared: Any = {"baa": False, "limits": {}, "brands": None}
        await brands.put_provider(house, loop_health, "vendor", "sendgrid", settings, secrets, **shared)
        brand = await house.setup.require_brand("loop")
        routes = msgspec.structs.replace(brand.settings.routes, email=["vendor"])
        changed = msgspec.structs.replace(brand.settings, routes=routes)
        await brands.put_brand(house, loop_health, "loop", changed)
        made = [
            await acceptance.schedule(
                house, loop_health, ask(clock, "email", recipient=f"ada@h{n}.example", dedup_key=f"key-{n}")
            )
            for n in range(MESSAGES)
        ]
        clock.advance(300)
        worker = Worker(house, tools(house, http))
        while await worker.once():
            pass
        yield [each.message["id"] for each in made]


class Storm:
    """What the vendor says, and what others say in its name. Seeded."""

    def __init__(self, clock: FakeClock, messages: list[str]) -> None:
        self._clock, self._chance, self._voice = clock, random.Random(20261125), BY_KIND["sendgrid"]
        self.bounced = set(messages[::5])
        self.true = [
            self._said(each, event)
            for each in messages
            for event in (*TRUE, *(["bounce"] if each in self.bounced else []))
        ]
        self._lies = [self._said(each, event) for each in messages for event in ("spamreport", "bounce")]

    def _said(self, message_id: str, event: str) -> dict[str, Any]:
        at = int((self._clock.now() - timedelta(seconds=self._chance.randrange(3000))).timestamp())
        more = {"type": "bounce", "status": "5.1.1"} if event == "bounce" else {}
        return {
            "event": event,
            "email": "ada@example.org",
            "timestamp": at,
            "sg_event_id": f"{message_id}/{event}/{at}",
            "sg_message_id": "14c5d75ce93.filter",
            "comms_key": f"{message_id}-0",
            **more,
        }

    def genuine(self, said: dict[str, Any]) -> Incoming:
        """As the vendor calls; later attempts are signed with the time of the first."""
        ago = timedelta(seconds=self._chance.randrange(36_000))
        return replace(self._voice.call([said], self._clock.now() - ago), now=self._clock.now())

    def forged(self) -> Incoming:
        """By a stranger; another body under a true signature; without one; of the day before yesterday."""
        lie, truth = self._chance.choice(self._lies), self.genuine(self._chance.choice(self.true))
        now = self._clock.now()
        made = self._chance.randrange(4)
        if made == 0:
            return replace(self._voice.call([lie], now, by_stranger=True), now=now)
        if made == 1:
            return replace(truth, body=self._voice.call([lie], now).body)
        if made == 2:
            return replace(truth, headers=Folded({}))
        return replace(self._voice.call([lie], now - timedelta(days=2)), now=now)

    def calls(self) -> list[tuple[Incoming, bool]]:
        """All that is true at least once, doubled and replayed; three times as much forged; in any order."""
        told = [*self.true, *self._chance.choices(self.true, k=CALLS // 4 - len(self.true))]
        calls = [(self.genuine(each), True) for each in told]
        calls += [(self.forged(), False) for _ in range(CALLS - len(calls))]
        self._chance.shuffle(calls)
        return calls


async def called(house: House, call: tuple[Incoming, bool]) -> bool:
    """Was it answered as it should be?"""
    incoming, is_genuine = call
    try:
        return (await webhooks.receive(house, "vendor", incoming)).received == 1 and is_genuine
    except Refused as refused:
        return refused.code == "invalid_signature" and not is_genuine


async def everything(house: House) -> tuple[Any, ...]:
    owner = house.database.owner
    timelines = Counter(tuple(row) for row in await owner.fetch("select message_id::text, event from ledger"))
    standing = await owner.fetch(
        "select reason, count(*) from suppression where lifted_at is null group by 1"
    )
    states = await owner.fetch("select id::text, status from message_now order by id")
    kept = await owner.fetchval("select count(*) from provider_event")
    return timelines, [tuple(row) for row in standing], [tuple(row) for row in states], kept


async def test_ten_thousand_calls_forged_replayed_reordered_and_doubled_change_what_is_true_once(
    house: House, clock: FakeClock, sent: list[str]
) -> None:
    clock.advance(7200)
    storm = Storm(clock, sent)
    calls = storm.calls()
    assert len(calls) == CALLS
    for first in range(0, CALLS, AT_ONCE):
        answers = await asyncio.gather(*(called(house, each) for each in calls[first : first + AT_ONCE]))
        assert all(answers)
    found = timelines, standing, states, kept = await everything(house)
    assert kept == len(storm.true)
    for each in sent:
        told = {event: timelines[each, event] for event in ("deferred", "delivered", "bounced", "complained")}
        assert told == {"deferred": 1, "delivered": 1, "bounced": int(each in storm.bounced), "complained": 0}
    assert standing == [("hard_bounce", len(storm.bounced))]
    assert {status for _, status in states} == {"sent"}
    again = [storm.genuine(each) for each in storm.true]
    assert all(await asyncio.gather(*(called(house, (each, True)) for each in again[:AT_ONCE])))
    assert await everything(house) == found
