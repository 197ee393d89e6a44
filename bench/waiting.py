"""What it costs that very much waits far ahead: three installations take turns, of which one is empty.

WAITING=10000000 make bench ARGS=waiting

says how many wait. The rows have the sizes of one that the service has just written.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from bench.accepts import load
from bench.figures import Figure, percentile
from bench.service import Service
from bench.service import service as installation
from comms.domain.ids import BUCKETS
from comms.store.database import Connection

_WAITING = int(os.environ.get("WAITING", "100000"))
_AT_ONCE = 100_000
_CLIENTS = 32
_SECONDS = 2.0
_ROUNDS = 3
_DUE = 2_000
_A_SECOND = 50
_LATENESS_SECONDS = 5
_LEAD = timedelta(seconds=2)
_AFTER = 1.0
_PATIENCE = 120.0

_ONE = """
create temp table wait_{table} as select * from {table} where {id} = '{like}'
"""
_FILL = """
with made as (
  select slot, ($1::int[])[slot + 1] as bucket, uuid_send(gen_random_uuid()) as key,
         (lpad(to_hex(1600000000000 + $2::bigint + i), 12, '0') || '7' || lpad(to_hex(slot << 6), 3, '0')
          || '8' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 15))::uuid as id,
         now() + interval '30 days' + random() * interval '300 days' as due_at
    from (select i, floor(random() * 64)::int as slot from generate_series(1, $3::int) i) chosen
), deduped as (
  insert into dedup (bucket, brand_id, key_hash, message_id, kind, fingerprint)
  select m.bucket, w.brand_id, m.key, m.id, w.kind, w.fingerprint from made m, wait_dedup w
), kept as (
  insert into message (bucket, id, brand_id, kind, channel, template_key, template_id, version_id, hipaa,
      person_hash, recipient_hash, address, variables, scheduled_at, created_at)
  select m.bucket, m.id, w.brand_id, w.kind, w.channel, w.template_key, w.template_id, w.version_id, w.hipaa,
         m.key, w.recipient_hash, w.address, w.variables, m.due_at, w.created_at from made m, wait_message w
), queued as (
  insert into queue (bucket, id, brand_id, template_id, due_at, deadline)
  select m.bucket, m.id, w.brand_id, w.template_id, m.due_at, m.due_at + interval '4 hours'
    from made m, wait_queue w
)
insert into ledger (bucket, message_id, brand_id, at, event, actor, request_id)
select m.bucket, m.id, w.brand_id, w.at, 'accepted', w.actor, w.request_id from made m, wait_ledger w
"""

_DUE_NOW = (
    "update queue set due_at = now(), deadline = now() + interval '4 hours' where id = any ($1::uuid[])"
)
_IS_DUE = "select exists (select from queue where due_at <= now())"
_TOOK = """
select extract(epoch from max(at) filter (where event = 'sent')
                        - min(at) filter (where event = 'claimed'))::float8 as seconds,
       count(*) filter (where event = 'sent') as sent
  from ledger where n > $1
"""


class Seen(NamedTuple):
    """What one turn came to: two rates a second, two latenesses in milliseconds."""

    accepts: float
    drained: float
    lateness_p50: float
    lateness_p99: float


def measure(empty: Service) -> Iterator[Figure]:
    """Empty, with very much that waits, and so with a snapshot held open."""
    with installation() as full, installation() as held:
        seen = uvloop.run(_rounds(empty, full, held))
    none, *others = (Seen(*map(median, zip(*turns, strict=True))) for turns in zip(*seen, strict=True))
    for phase, one in zip((f"{_WAITING:,} wait", f"{_WAITING:,} wait, snapshot held"), others, strict=True):
        yield Figure(f"accepts/s, {phase}; raw: none", one.accepts, none.accepts)
        yield Figure(f"dispatched/s, {phase}; raw: none", one.drained, none.drained)
        yield Figure(f"lateness p50 ms, {phase}; raw: none", one.lateness_p50, none.lateness_p50)
        yield Figure(f"lateness p99 ms, {phase}; raw: none", one.lateness_p99, none.lateness_p99)


async def _rounds(empty: Service, full: Service, held: Service) -> list[list[Seen]]:
    """Each in its turn, so that what else the machine does is the same for all."""
    async with empty.emptied() as one, full.emptied() as two, held.emptied() as three, _snapshot(held):
        beginning = [(empty, one, 0), (full, two, _WAITING), (held, three, _WAITING)]
        for service, connection, waiting in beginning:
            await service.schedule([datetime.now(UTC) + timedelta(days=40)])
            await _fill(connection, waiting)
        return [
            [await _seen(service, connection) for service, connection, _ in beginning] for _ in range(_ROUNDS)
        ]


async def _seen(service: Service, connection: Connection) -> Seen:
    with service.process("comms", "api") as (_, said):
        address = said.rpartition("/")[2]
        load(service, address, _CLIENTS, 0.5)
        accepts = load(service, address, _CLIENTS, _SECONDS).rate
    drained = await _drained(service, connection)
    late = await _lateness(service)
    return Seen(accepts, drained, percentile(late, 0.5), percentile(late, 0.99))


async def _fill(connection: Connection, waiting: int) -> None:
    """Rows like the first that there is, in all buckets, a month to a year ahead."""
    like = await connection.fetchval("select id from queue limit 1")
    for table, key in (("dedup", "message_id"), ("message", "id"), ("queue", "id"), ("ledger", "message_id")):
        await connection.execute(_ONE.format(table=table, id=key, like=like) + "limit 1")
    for done in range(0, waiting, _AT_ONCE):
        await connection.execute(_FILL, BUCKETS, done, min(_AT_ONCE, waiting - done))
    await connection.execute("vacuum analyze")  # or it is done while we measure
    await connection.execute("checkpoint")


async def _drained(service: Service, connection: Connection) -> float:
    """Messages that are due at once, by one worker, a second."""
    due = await service.schedule([datetime.now(UTC) + timedelta(days=40)] * _DUE)
    await connection.execute(_DUE_NOW, list(due))
    before = await connection.fetchval("select max(n) from ledger")
    with service.process("comms", "worker"):
        async with asyncio.timeout(_PATIENCE):
            while await connection.fetchval(_IS_DUE):  # noqa: ASYNC110 - see it end
                await asyncio.sleep(0.1)
    took = await connection.fetchrow(_TOOK, before)
    assert took is not None
    assert took["sent"] == _DUE
    return _DUE / float(took["seconds"])


async def _lateness(service: Service) -> list[float]:
    """From `scheduled_at` to the provider, in milliseconds."""
    start = datetime.now(UTC).replace(microsecond=0) + _LEAD
    instants = [
        start + timedelta(milliseconds=random.randrange(_LATENESS_SECONDS * 1000))
        for _ in range(_A_SECOND * _LATENESS_SECONDS)
    ]
    with service.process("bench.worker") as (process, _):
        due = await service.schedule(instants)
        await asyncio.sleep((max(due.values()) - datetime.now(UTC)).total_seconds() + _AFTER)
        process.terminate()
        said = process.communicate()[0]
    left = msgspec.json.decode(said, type=list[tuple[UUID, int]])
    assert len(left) == len(due)
    late = [at / 1e6 - due[each].timestamp() * 1000 for each, at in left]
    assert min(late) >= 0, "a message left before its time"
    return late


@asynccontextmanager
async def _snapshot(service: Service) -> AsyncIterator[None]:
    """What a report or a dump is: nothing that it might still see can be removed."""
    connection = await asyncpg.connect(service.dsn)
    try:
        await connection.execute("set idle_in_transaction_session_timeout = 0")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("select exists (select from queue)")
            yield
    finally:
        await connection.close()
