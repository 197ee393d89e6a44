"""How late messages leave, from `scheduled_at` to the provider, beside a bare loop on the same rows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import uvloop

from bench import raw
from bench.figures import Figure, percentile
from bench.service import Service

A_SECOND = 50
SECONDS = 10
_ROUNDS = 2
_LEAD = timedelta(seconds=2)
_AFTER = 1.0


def measure(service: Service) -> Iterator[Figure]:
    """At 50 messages a second, at instants that know nothing of each other."""
    left: list[float] = []
    bare: list[float] = []
    for _ in range(_ROUNDS):
        left += uvloop.run(ours(service))
        bare += uvloop.run(_bare(service))
    assert min(left) >= 0, "a message left before its time"
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        yield Figure(
            f"lateness {name} ms, {A_SECOND}/s; raw: sleep, claim",
            percentile(left, share),
            percentile(bare, share),
        )


async def ours(service: Service) -> list[float]:
    """Milliseconds, of each message of a round."""
    async with service.emptied():
        with service.process("bench.worker") as (process, _):
            due = await service.schedule(_instants())
            await asyncio.sleep((max(due.values()) - datetime.now(UTC)).total_seconds() + _AFTER)
            process.terminate()
            said = process.communicate()[0]
    left = msgspec.json.decode(said, type=list[tuple[UUID, int]])
    assert len(left) == len(due)
    return [_late(due[each], at) for each, at in left]


async def _bare(service: Service) -> list[float]:
    async with service.emptied() as connection:
        due = await service.schedule(_instants())
        return [_late(due[each], at) for each, at in await raw.wait_and_claim(connection, len(due))]


def tomorrow() -> datetime:
    """A time that nothing is due at yet."""
    return datetime.now(UTC) + timedelta(days=1)


def _instants() -> list[datetime]:
    start = datetime.now(UTC).replace(microsecond=0) + _LEAD
    milliseconds = SECONDS * 1000
    return [start + timedelta(milliseconds=random.randrange(milliseconds)) for _ in range(A_SECOND * SECONDS)]


def _late(due_at: datetime, nanoseconds: int) -> float:
    """Milliseconds."""
    return nanoseconds / 1e6 - due_at.timestamp() * 1000
