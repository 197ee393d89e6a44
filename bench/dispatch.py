"""Messages dispatched a second where many are due at once, beside the bare statements that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

import uvloop

from bench import raw
from bench.figures import Figure
from bench.service import Service
from comms.store.database import Connection

MESSAGES = 20_000
_ROUNDS = 2
_PATIENCE = 60.0
_AGAIN = (
    "truncate queue, delivery, ledger, audit_link, sandbox_item restart identity",
    "update message set outcome = null, sent_at = null, provider_id = null, decision = null",
    """
insert into queue (bucket, id, brand_id, template_id, due_at, deadline)
select bucket, id, brand_id, template_id, now(), now() + interval '4 hours' from message
""",
    "vacuum analyze message, queue",
    "checkpoint",
)
"""What makes all messages due at once, however often."""

TOOK = """
select extract(epoch from
         max(at) filter (where event = 'sent') - min(at) filter (where event = 'claimed'))::float8
  from ledger
"""
"""Seconds from the first claim to the last message that was recorded as sent."""


def measure(service: Service) -> Iterator[Figure]:
    """One worker, and one connection that does the same to the same rows."""
    ours, bare = zip(*uvloop.run(_rounds(service)), strict=True)
    yield Figure(
        f"dispatched/s, {MESSAGES:,} due at once, one worker; raw: its statements",
        median(ours),
        median(bare),
    )


async def _rounds(service: Service) -> list[tuple[float, float]]:
    async with service.emptied() as connection:
        await service.schedule([datetime.now(UTC) + timedelta(days=1)] * MESSAGES)
        return [(await drained_all(service, connection), await _bare(connection)) for _ in range(_ROUNDS)]


async def drained_all(service: Service, connection: Connection) -> float:
    """All messages by one worker, due at once, a second."""
    await make_due(connection)
    rate = await drained(service, connection, MESSAGES)
    assert await connection.fetchval("select count(*) from sandbox_item") == MESSAGES
    return rate


async def drained(service: Service, connection: Connection, messages: int) -> float:
    """A second, from the first claim to the last message recorded as sent, by the database's clock."""
    with service.process("comms", "worker"):
        async with asyncio.timeout(_PATIENCE):
            while await connection.fetchval("select exists (select from queue)"):  # noqa: ASYNC110 - see it end
                await asyncio.sleep(0.1)
    return messages / float(await connection.fetchval(TOOK))


async def _bare(connection: Connection) -> float:
    sample = await raw.sample_delivered(connection)
    await make_due(connection)
    seconds = await raw.drain(connection, sample)
    assert await connection.fetchval("select count(*) from message where outcome = 'sent'") == MESSAGES
    return MESSAGES / seconds


async def make_due(connection: Connection) -> None:
    """All messages at once, however often."""
    for statement in _AGAIN:
        await connection.execute(statement)
