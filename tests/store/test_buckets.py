"""Every statement on a message's or a person's way touches the buckets that it is given, and no others."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.store import filled
from tests.store.partitioned import APART, REST, split, touched

from comms.domain.content import Sealed
from comms.store import (
    caps,
    consents,
    deferral,
    erasure,
    events,
    facts,
    items,
    keys,
    messages,
    permission,
    persons,
    queue,
    supersession,
    suppressions,
    workers,
)
from comms.store.database import Connection
from comms.store.statements import sql

pytestmark = pytest.mark.anyio

Call = Callable[[Any], Awaitable[Any]]
"""On a connection."""

YES = True
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)
OWNER = filled.message_id(0)
BRAND = "brand-2"
HERE, THERE = APART[2], APART[6]
"""Where what is asked for lies."""

WAITING = {HERE: filled.message_id(66), THERE: filled.message_id(70)}
SENDING = {HERE: filled.message_id(322), THERE: filled.message_id(1222)}
UNKNOWN = {APART[3]: filled.message_id(323), APART[7]: filled.message_id(1223)}
ONE_WAITS, SOME_WAIT = WAITING[HERE], list(WAITING.items())
SOME_ARE_SENT, SOME_ARE_UNKNOWN = list(SENDING.items()), list(UNKNOWN.items())
SEALED = Sealed(b"sealed")
BY = ("test", UUID(int=7))


def _hash(what: str, i: int) -> bytes:
    return hashlib.sha256(f"{what}{i}".encode()).digest()


def _new(i: int, bucket: int) -> messages.NewMessage:
    return messages.NewMessage(
        bucket=bucket, id=filled.message_id(i), brand_id=BRAND, kind="schedule", key_hash=_hash("new", i),
        fingerprint=b"f", channel="sms", template_key="key-0", template_id=UUID(int=1), version_id=UUID(int=2),
        hipaa=False, person_hash=_hash("new", i), recipient_hash=b"r", address=SEALED, variables=SEALED,
        scheduled_at=LATER, zone=None, wall=None, deadline=LATER, created_at=NOW, actor="test",
        request_id=UUID(int=7), person_bucket=bucket, generation=1, key_epoch=1, new_secret=SEALED,
    )  # fmt: skip


async def _accept(connection: Connection) -> None:
    epoch = await connection.fetchval("select epoch from installation")
    made = await messages.accept(connection, epoch, [_new(640_002, HERE), _new(640_006, THERE)], None)
    assert len(made) == 2


PERSON = keys.PersonKey(HERE, BRAND, _hash("person", 66))
"""The 66th."""

ONE: dict[str, Call] = {
    "messages.find_dedup": lambda c: messages.find_dedup(c, HERE, BRAND, b"key"),
    "messages.get": lambda c: messages.get(c, HERE, ONE_WAITS),
    "messages.timeline": lambda c: messages.timeline(c, HERE, ONE_WAITS),
    "messages.options": lambda c: messages.options(c, HERE, ONE_WAITS),
    "messages.cancel": lambda c: messages.cancel(c, [ONE_WAITS], None, *BY),
    "messages.lock_waiting": lambda c: messages.lock_waiting(c, HERE, ONE_WAITS),
    "messages.begun": lambda c: messages.begun(c, HERE, ONE_WAITS),
    "messages.reschedule": lambda c: messages.reschedule(
        c, messages.Rescheduled(HERE, ONE_WAITS, LATER, LATER, None, None, SEALED, UUID(int=2), None, {}, *BY)
    ),
    "messages.settle": lambda c: messages.settle(c, HERE, ONE_WAITS, "sent", timedelta(), None, *BY),
    "messages.settle_retry": lambda c: messages.settle(c, HERE, ONE_WAITS, "retry", timedelta(), None, *BY),
    "supersession.supersede": lambda c: supersession.supersede(
        c, supersession.Superseded(HERE, ONE_WAITS, None, {}, WAITING[THERE], *BY)
    ),
    "queue.hold_claim": lambda c: c.execute(sql("queue", "hold_claim"), HERE, ONE_WAITS, 1),
    "queue.rescue": lambda c: c.execute(sql("queue", "rescue"), LATER, HERE, SENDING[HERE], 1, timedelta()),
    "queue.lose_lapsed": lambda c: queue.lose_lapsed(c, LATER, HERE, ONE_WAITS, 1),
    "keys.persons": lambda c: keys.persons(c, [PERSON]),
    "keys.hold": lambda c: keys.hold(c, PERSON),
    "keys.hold_all": lambda c: keys.hold_all(c, [PERSON]),
    "keys.put": lambda c: keys.put(c, PERSON, 2, 1, SEALED, NOW),
    "keys.destroy": lambda c: keys.destroy(c, PERSON, NOW),
    "persons.get": lambda c: persons.get(c, PERSON),
    "persons.put": lambda c: persons.put(
        c, persons.Person(HERE, ONE_WAITS, *PERSON[1:], None, None, NOW, *BY)
    ),
    "consents.put": lambda c: consents.put_consent(
        c, consents.Said(HERE, ONE_WAITS, *PERSON[1:], "sms", "reminder", YES, SEALED, NOW, *BY)
    ),
    "consents.list": lambda c: consents.consents(c, *PERSON, None, 10),
    "preferences.list": lambda c: consents.preferences(c, *PERSON, None, 10),
    "suppressions.standing": lambda c: suppressions.standing(c, HERE, BRAND, "sms", PERSON.person_hash),
    "facts.get": lambda c: facts.get(c, HERE, ONE_WAITS),
    "facts.remove": lambda c: facts.remove(c, HERE, ONE_WAITS, NOW, *BY),
    "items.item": lambda c: items.item(c, ONE_WAITS),
    "items.hear": lambda c: items.hear(c, HERE, ONE_WAITS, NOW, "delivered", None),
    "erasure.note": lambda c: erasure.note(c, PERSON, NOW, *BY),
}
"""What names one."""


def _ended() -> list[queue.Ended]:
    return [queue.Ended(b, m, 0, 1, "accepted", None, None, "sandbox") for b, m in SOME_ARE_SENT]


def _asked() -> list[permission.Keys]:
    person = _hash("person", 66)
    return [
        permission.Keys(BRAND, "sms", b, person, ONE_WAITS, ONE_WAITS, b, person, YES, YES)
        for b in (HERE, THERE)
    ]


def _both(call: Callable[[Any], Awaitable[Sized]]) -> Call:
    """A call that has to find both: what follows in the statement is done for them."""

    async def checked(connection: Connection) -> None:
        assert len(await call(connection)) == 2

    return checked


SOME: dict[str, Call] = {
    "messages.accept": _accept,
    "messages.cancel": _both(lambda c: messages.cancel(c, list(WAITING.values()), None, *BY)),
    "queue.frozen": _both(lambda c: queue.frozen(c, SOME_ARE_SENT)),
    "queue.freeze": _both(
        lambda c: queue.freeze(
            c, OWNER, None, [queue.Mark(b, m, 0, "sandbox", SEALED, 1) for b, m in SOME_ARE_SENT]
        )
    ),
    "queue.finish": _both(
        lambda c: queue.finish(
            c,
            OWNER,
            None,
            [queue.Finished(b, m, 1, "accept", None, "sandbox", {}) for b, m in SOME_ARE_SENT],
            _ended(),
        )
    ),
    "queue.wait_again": _both(
        lambda c: queue.wait_again(
            c,
            OWNER,
            None,
            [queue.Waiting(b, m, 1, "retry", "r", timedelta(1), None) for b, m in SOME_ARE_SENT],
            _ended(),
        )
    ),
    "queue.lose": _both(
        lambda c: queue.lose(
            c,
            OWNER,
            None,
            [queue.Unknown(b, m, 1, "timeout", "sandbox", {}) for b, m in SOME_ARE_SENT],
            _ended(),
        )
    ),
    "deferral.defer": _both(
        lambda c: deferral.defer(
            c,
            OWNER,
            None,
            [deferral.Deferred(b, m, 1, "quiet_hours", LATER, LATER, {}) for b, m in SOME_ARE_SENT],
            [],
        )
    ),
    "permission.facts": lambda c: permission.facts(
        c, _asked(), [permission.Guard(1, BRAND, HERE, ONE_WAITS)]
    ),
    "caps.reserve": lambda c: caps.reserve(
        c, [caps.Reserved(b, BRAND, PERSON.person_hash, 1, "[]") for b in (HERE, THERE)]
    ),
    "caps.release": lambda c: caps.release(
        c, [caps.Released(b, BRAND, PERSON.person_hash, str(ONE_WAITS)) for b in (HERE, THERE)]
    ),
    "events.keep": lambda c: events.keep(c, "vendor", [(HERE, b"one"), (THERE, b"two")], NOW),
    "events.refer": lambda c: events.refer(
        c, [events.Reference(b, "vendor", "new", m, 0) for b, m in SOME_WAIT]
    ),
    "events.referred": lambda c: events.referred(c, "vendor", [(b, str(m)) for b, m in SOME_WAIT]),
    "events.deliveries": _both(
        lambda c: events.deliveries(c, "sandbox", [events.Which(b, m, 0) for b, m in SOME_ARE_SENT])
    ),
    "events.hear": lambda c: events.hear(c, [events.Told(b, m, 0, "taken", None) for b, m in SOME_ARE_SENT]),
    "items.put_in_inbox": lambda c: items.put_in_inbox(
        c,
        [items.InboxItem(b, UUID(int=b), BRAND, b"person-hash", "reminder", SEALED) for b in (HERE, THERE)],
        NOW,
    ),
    "items.keep_in_sandbox": lambda c: items.keep_in_sandbox(
        c,
        [items.KeptItem(b, m, BRAND, "sandbox", "sms", SEALED) for b, m in SOME_WAIT],
        NOW,
    ),
    "erasure.empty_suppressions": lambda c: erasure.empty_suppressions(
        c, BRAND, [erasure.Address(b, "sms", PERSON.person_hash) for b in (HERE, THERE)]
    ),
}
"""What names two."""

DOUBTS: dict[str, Call] = {
    "events.in_doubt": _both(lambda c: events.in_doubt(c, SOME_ARE_UNKNOWN)),
    "events.settle": _both(
        lambda c: events.settle(
            c, None, [events.Settled(b, m, YES, None, "sandbox") for b, m in SOME_ARE_UNKNOWN]
        )
    ),
}
"""What names two that are unknown."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

ALL: dict[str, tuple[str, Call]] = {
    "queue.peek": ("what is due next lies in any bucket", lambda c: queue.peek(c, [], LONG_AGO)),
    "queue.claim": (
        "what is due longest lies in any bucket",
        lambda c: queue.claim(c, None, timedelta(), LONG_AGO, 100, OWNER, timedelta(seconds=30), [], 0),
    ),
    "queue.lanes": ("a template's messages lie in all buckets", lambda c: queue.lanes(c, [])),
    "queue.lapsed": (
        "a dead worker's claims lie in all buckets",
        lambda c: queue.lapsed(c, LATER, [], timedelta()),
    ),
    "queue.expire_waiting": (
        "what is too late lies in any bucket",
        lambda c: queue.expire_waiting(c, None, {}, [], 500),
    ),
    "messages.list": (
        "a brand's messages lie in all buckets",
        lambda c: messages.find(c, messages.Filter(BRAND), 10),
    ),
    "items.inbox": (
        "an item lies with its message, so that it is there once",
        lambda c: items.inbox(c, BRAND, PERSON.person_hash, None, 10),
    ),
    "items.unread": (
        "an item lies with its message, so that it is there once",
        lambda c: items.unread(c, BRAND, PERSON.person_hash),
    ),
}
"""What has to ask all, and why."""


@pytest.fixture(scope="module")
async def pieces(postgres: str) -> AsyncIterator[Connection]:
    """The large tables in pieces, with three messages due or on their way in the buckets that are asked for."""
    async with filled.database(postgres, "pieces", messages=6_400, shape=split) as connection:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json, decoder=str)
        await workers.report(connection, OWNER, 0, timedelta(seconds=30))  # who claims is known
        yield connection


def _json(value: Any) -> str:
    return "{}" if isinstance(value, dict) else str(value)


@pytest.mark.parametrize("name", ONE)
async def test_what_names_one_bucket_touches_it_alone(pieces: Connection, name: str) -> None:
    assert await touched(pieces, ONE[name]) == {HERE}


@pytest.mark.parametrize("name", SOME)
async def test_what_names_some_touches_those_alone(pieces: Connection, name: str) -> None:
    assert await touched(pieces, SOME[name]) == {HERE, THERE}


@pytest.mark.parametrize("name", DOUBTS)
async def test_what_settles_touches_those_alone(pieces: Connection, name: str) -> None:
    assert await touched(pieces, DOUBTS[name]) == set(UNKNOWN)


@pytest.mark.parametrize("name", ALL)
async def test_what_asks_all_is_known(pieces: Connection, name: str) -> None:
    _, call = ALL[name]
    assert await touched(pieces, call) >= {*APART, REST}


async def test_a_unique_key_without_the_bucket_is_refused(pieces: Connection) -> None:
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="must include all partitioning columns"):
        await pieces.execute("create unique index one_id on message (id)")
