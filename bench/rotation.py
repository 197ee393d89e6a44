"""How late messages leave while all that is kept is sealed anew, beside how late they leave otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import uvloop

from bench.batch import batch
from bench.figures import Figure, percentile
from bench.messages import BRAND
from bench.service import Service

MESSAGES = 20_000
"""That wait for another month: so many are sealed anew in less than a minute."""

_A_SECOND = 200
_SECONDS = 20
_LEAD = timedelta(seconds=2)
_SHORT_LEASE = {"COMMS_LEASE_SECONDS": "3"}
"""A rotation waits for two leases before it destroys the older key; that is not what is measured."""


def measure(service: Service) -> Iterator[Figure]:
    """200 a second are scheduled and sent, first alone, then until the rotation has ended."""
    with service.process("comms", "api") as (_, said):
        batch(service, said.rpartition("/")[2], MESSAGES)
    alone, _ = uvloop.run(_lateness(service, rotating=False))
    beside, sealed_a_second = uvloop.run(_lateness(service, rotating=True))
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        yield Figure(
            f"lateness {name} ms, {_A_SECOND}/s, keys rotate; raw: they don't",
            percentile(beside, share),
            percentile(alone, share),
        )
    yield Figure(
        f"rows sealed anew/s, beside {_A_SECOND}/s sent; raw: {_A_SECOND}", sealed_a_second, _A_SECOND
    )


async def _lateness(service: Service, *, rotating: bool) -> tuple[list[float], float]:
    """Milliseconds of each message; and rows sealed anew a second."""
    due: dict[UUID, datetime] = {}
    with service.process("bench.worker", **_SHORT_LEASE) as (worker, _):
        rotation = asyncio.create_task(asyncio.to_thread(_rotate, service)) if rotating else None
        began = datetime.now(UTC)
        while datetime.now(UTC) - began < timedelta(seconds=_SECONDS) or (rotation and not rotation.done()):
            start = datetime.now(UTC) + _LEAD
            due |= await service.schedule(
                [start + timedelta(seconds=n / _A_SECOND) for n in range(_A_SECOND)]
            )
            await asyncio.sleep(
                max(0.0, (start - _LEAD + timedelta(seconds=1) - datetime.now(UTC)).total_seconds())
            )
        await asyncio.sleep((_LEAD + timedelta(seconds=1)).total_seconds())
        worker.terminate()
        left = msgspec.json.decode(worker.communicate()[0], type=list[tuple[UUID, int]])
    assert len(left) == len(due), "a message was not sent"
    late = [nanoseconds / 1e6 - due[each].timestamp() * 1000 for each, nanoseconds in left]
    return late, await rotation if rotation else 0.0


def _rotate(service: Service) -> float:
    """Rows a second, from its first word to the last row that it sealed anew."""
    began, ended, sealed = time.monotonic(), 0.0, 0
    with service.process("comms", "keys", "rotate", "--brand", BRAND, "--json", **_SHORT_LEASE) as (
        process,
        said,
    ):
        assert process.stdout is not None
        for line in (said, *process.stdout):
            told = msgspec.json.decode(line)
            if told.get("sealed", 0) > sealed:
                sealed, ended = told["sealed"], time.monotonic()
        assert process.wait() == 0
    return sealed / (ended - began)
