"""What bare PostgreSQL does with the same rows: prepared statements and nothing around them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.figures import Pace, pace
from bench.messages import BRAND, PROVIDER, later
from comms.domain.ids import bucket_of_digest, message_id
from comms.store.database import Connection
from comms.store.messages import NewMessage
from comms.store.statements import sql

_INSERTS = (
    """
insert into dedup (bucket, brand_id, key_hash, message_id, kind, fingerprint) values ($1, $2, $3, $4, $5, $6)
""",
    """
insert into message (bucket, id, brand_id, kind, channel, template_key, template_id, version_id, hipaa,
    person_hash, recipient_hash, address, variables, scheduled_at, zone, wall, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
""",
    """
insert into queue (bucket, id, brand_id, template_id, due_at, deadline) values ($1, $2, $3, $4, $5, $6)
""",
    """
insert into ledger (bucket, message_id, brand_id, at, event, actor, request_id)
values ($1, $2, $3, $4, 'accepted', $5, $6)
""",
    """
insert into person_key (bucket, brand_id, person_hash, generation, epoch, wrapped, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
""",
)
"""The four rows of a message and the key of a person who was never written to, in the plain way."""

_TAKEN = (
    attrgetter("bucket", "brand_id", "key_hash", "id", "kind", "fingerprint"),
    attrgetter("bucket", "id", "brand_id", "kind", "channel", "template_key", "template_id", "version_id",
               "hipaa", "person_hash", "recipient_hash", "address", "variables", "scheduled_at", "zone",
               "wall", "created_at"),
    attrgetter("bucket", "id", "brand_id", "template_id", "scheduled_at", "deadline"),
    attrgetter("bucket", "id", "brand_id", "created_at", "actor", "request_id"),
    attrgetter("person_bucket", "brand_id", "person_hash", "generation", "key_epoch", "new_secret",
               "created_at"),
)  # fmt: skip
"""What each of them takes of the message."""

_COPIES = (
    ("dedup", ("bucket", "brand_id", "key_hash", "message_id", "kind", "fingerprint")),
    ("message", ("bucket", "id", "brand_id", "kind", "channel", "template_key", "template_id", "version_id",
                 "hipaa", "person_hash", "recipient_hash", "address", "variables", "scheduled_at", "zone",
                 "wall", "created_at")),
    ("queue", ("bucket", "id", "brand_id", "template_id", "due_at", "deadline")),
    ("ledger", ("bucket", "message_id", "brand_id", "at", "actor", "request_id", "event")),
    ("person_key", ("bucket", "brand_id", "person_hash", "generation", "epoch", "wrapped", "created_at")),
)  # fmt: skip
"""The same five, for COPY."""

_COPIED = 5_000

_ACCEPTED = """
select m.*, d.key_hash, d.fingerprint, q.deadline, l.actor, l.request_id,
       k.bucket as person_bucket, k.generation, k.epoch as key_epoch, k.wrapped as new_secret
  from message m join dedup d on d.message_id = m.id
  join queue q on q.id = m.id join ledger l on l.message_id = m.id
  join person_key k on k.brand_id = m.brand_id and k.person_hash = m.person_hash
 limit 1
"""
_COLUMNS = NewMessage._fields
_WRITERS = 2
"""As many groups as the acceptor writes at a time."""

_DELIVERED = """
select d.payload, d.reference, m.decision, s.content
  from delivery d join message m on m.id = d.message_id join sandbox_item s using (message_id)
 limit 1
"""
_KEEP = """
insert into sandbox_item (bucket, brand_id, message_id, provider_id, channel, content, received_at)
select bucket, $1, message_id, $2, 'sms', $3, now()
  from unnest($4::int[], $5::uuid[]) as g (bucket, message_id)
"""
_BATCH = 100
"""As many as a worker claims at a time."""

_NEXT = "select due_at from queue where state = 'scheduled' order by due_at limit 1"
_CLAIM = """
update queue set state = 'sending', owner = $1, lease_until = now() + interval '30 seconds'
 where (bucket, id) in (select bucket, id from queue where state = 'scheduled' and due_at <= now()
                         order by due_at limit 100 for update skip locked)
returning id
"""


async def sample_accepted(connection: Connection) -> NewMessage:
    """A row that the service has written, so that ours have its sizes."""
    row = await connection.fetchrow(_ACCEPTED)
    assert row is not None
    return NewMessage(**{name: row[name] for name in _COLUMNS})


async def accept_each(dsn: str, sample: NewMessage, connections: int, seconds: float) -> Pace:
    """The plain way: each message a transaction of five inserts, on a connection a client."""

    async def prepared(connection: Connection) -> Callable[[], Awaitable[int]]:
        statements = [await connection.prepare(text) for text in _INSERTS]

        async def one() -> int:
            row = _another(sample)
            async with connection.transaction():
                for statement, taken in zip(statements, _TAKEN, strict=True):
                    await statement.fetch(*taken(row))
            return 1

        return one

    return await _paced(dsn, prepared, connections, seconds)


async def accept_groups(
    dsn: str, sample: NewMessage, clients: int, seconds: float, writers: int = _WRITERS
) -> Pace:
    """The acceptor's way: its own statement, as many messages under way as there are clients."""
    writers = min(clients, writers)

    async def prepared(connection: Connection) -> Callable[[], Awaitable[int]]:
        epoch = await connection.fetchval(sql("setup", "epoch"))
        statement = await connection.prepare(sql("messages", "accept"))

        async def group() -> int:
            rows = [_another(sample) for _ in range(clients // writers)]
            await statement.fetch(epoch, *(list(column) for column in zip(*rows, strict=True)), None)
            return len(rows)

        return group

    return await _paced(dsn, prepared, writers, seconds)


async def accept_copied(dsn: str, sample: NewMessage, seconds: float) -> Pace:
    """The fastest way into a table: COPY into each of the five, which asks of no key whether it is taken."""

    async def prepared(connection: Connection) -> Callable[[], Awaitable[int]]:
        async def group() -> int:
            rows = [_another(sample) for _ in range(_COPIED)]
            async with connection.transaction():
                for (table, columns), taken in zip(_COPIES, _TAKEN, strict=True):
                    event = ("accepted",) * (table == "ledger")
                    records = (taken(row) + event for row in rows)
                    await connection.copy_records_to_table(table, records=records, columns=columns)
            return len(rows)

        return group

    return await _paced(dsn, prepared, 1, seconds)


def _another(sample: NewMessage) -> NewMessage:
    key_hash, person_hash = os.urandom(16), os.urandom(16)
    new_id = message_id(datetime.now(UTC), key_hash, os.urandom(8))
    bucket, due_at = bucket_of_digest(key_hash), later()
    return sample._replace(
        bucket=bucket,
        id=new_id,
        key_hash=key_hash,
        scheduled_at=due_at,
        person_hash=person_hash,
        person_bucket=bucket_of_digest(person_hash),
    )


async def _paced(
    dsn: str,
    prepared: Callable[[Connection], Awaitable[Callable[[], Awaitable[int]]]],
    connections: int,
    seconds: float,
) -> Pace:
    """Repeat the call that `prepared` makes of each connection; a call says how many messages it wrote."""
    opened = [await asyncpg.connect(dsn) for _ in range(connections)]
    calls = [await prepared(connection) for connection in opened]
    latencies: list[float] = []
    began = time.perf_counter()

    async def repeat(call: Callable[[], Awaitable[int]]) -> int:
        done = 0
        while (asked_at := time.perf_counter()) < began + seconds:
            done += await call()
            latencies.append(time.perf_counter() - asked_at)
        return done

    done = sum(await asyncio.gather(*map(repeat, calls)))
    took = time.perf_counter() - began
    await asyncio.gather(*(connection.close() for connection in opened))
    return pace(done, took, latencies)


async def sample_delivered(connection: Connection) -> asyncpg.Record:
    """What the service froze, answered, decided and kept of one message, so that ours have its sizes."""
    row = await connection.fetchrow(_DELIVERED)
    assert row is not None
    return row


async def drain(connection: Connection, sample: asyncpg.Record) -> float:
    """Claim, freeze, keep, record, batch by batch in the service's own statements; the seconds of all."""
    owner, floor, lease = uuid4(), datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=30)
    report: tuple[Any, ...] = (owner, 0, lease, None, False, None, None)
    beat = await connection.fetchval(sql("workers", "report"), *report)
    began = time.perf_counter()
    taking: tuple[Any, ...] = (None, timedelta(), floor, _BATCH, owner, lease, [], beat)
    while claims := await connection.fetch(sql("queue", "claim"), *taking):
        await _deliver(connection, sample, owner, claims)
    seconds = time.perf_counter() - began
    await connection.execute(sql("workers", "leave"), owner)
    return seconds


async def _deliver(
    connection: Connection, sample: asyncpg.Record, owner: UUID, claims: list[asyncpg.Record]
) -> None:
    def every(value: Any) -> list[Any]:
        return [value] * len(claims)

    keys = [[claim[name] for claim in claims] for name in ("bucket", "id")]
    ones, provider = every(1), every(PROVIDER)
    marks = (every(0), provider, every(sample["payload"]), ones)
    await connection.fetch(sql("queue", "freeze"), None, *keys, *marks, owner)
    await connection.execute(_KEEP, BRAND, PROVIDER, sample["content"], *keys)
    answers = (every(0), ones, every("accepted"), every(None), every(sample["reference"]), provider)
    endings = (ones, every("accept"), every(None), provider, every(sample["decision"]))
    await connection.fetch(sql("queue", "finish"), None, *keys, *endings, owner, *keys, *answers)


async def wait_and_claim(connection: Connection, messages: int) -> list[tuple[UUID, int]]:
    """Sleep to each instant, claim what is due, note when that was (nanoseconds since 1970)."""
    claimed: list[tuple[UUID, int]] = []
    while len(claimed) < messages:
        due_at: datetime = await connection.fetchval(_NEXT)
        await asyncio.sleep(max(0.0, due_at.timestamp() - time.time()))
        rows = await connection.fetch(_CLAIM, uuid4())
        claimed += [(row["id"], time.time_ns()) for row in rows]
    return claimed
