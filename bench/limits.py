"""Messages a second to a provider that takes so many at a time, beside a bare client that does the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

import aiohttp
import uvloop

from bench.dispatch import drained, make_due
from bench.figures import Figure
from bench.service import Service
from bench.vendor import SECONDS

_SIZES = ((10, 1_000), (50, 5_000))
"""How many at a time, and how many in all."""

_ROUNDS = 2


def measure(service: Service) -> Iterator[Figure]:
    """One worker, a vendor on this machine, every call an HTTP request that takes 50 ms."""
    for concurrency, messages in _SIZES:
        with service.process("bench.vendor") as (_, address):
            found = uvloop.run(_rounds(service, address, concurrency, messages))
        ours, bare = zip(*found, strict=True)
        name = f"handed over/s, {concurrency} at a time, answered in {SECONDS * 1000:.0f} ms"
        yield Figure(f"{name}; raw: a client", median(ours), median(bare))


async def _rounds(
    service: Service, address: str, concurrency: int, messages: int
) -> list[tuple[float, float]]:
    async with service.emptied() as connection, service.sending_by(address, concurrency):
        await service.schedule([datetime.now(UTC) + timedelta(days=1)] * messages)
        found = []
        for _ in range(_ROUNDS):
            await make_due(connection)
            ours = await drained(service, connection, messages)
            found.append((ours, await _bare(address, concurrency, messages)))
        return found


async def _bare(address: str, concurrency: int, messages: int) -> float:
    """As many requests, as many at a time, and nothing around them."""
    left = iter(range(messages))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def call() -> None:
            for _ in left:
                async with session.post(address, data=b"Body=Hello") as response:
                    await response.read()

        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(concurrency)))
        return messages / (time.perf_counter() - began)
