"""PgQueuer (asyncpg): a job a message, `dedupe_key` as its key; a hundred claimed at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
from measuring import PAYLOAD, instants, late, paced, run, seen
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, PgQueuer, Queries

_BATCH = 100
_BODY = json.dumps(PAYLOAD).encode()


async def accepts(dsn: str, clients: float, seconds: float) -> float:
    """Scheduled an hour ahead, on a connection a caller."""
    await _installed(dsn)
    async with asyncpg.create_pool(dsn, min_size=int(clients), max_size=int(clients)) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        hour = timedelta(hours=1)
        return await paced(
            lambda key: queries.enqueue("send", _BODY, execute_after=hour, dedupe_key=key),
            int(clients),
            seconds,
        )


async def drains(dsn: str, count: float) -> float:
    """From the worker's start until the last job was handed over."""
    queries = await _installed(dsn)
    await _enqueue(queries, [time.time()] * int(count))
    ended = asyncio.Event()
    done = 0

    async def send(_job: object) -> None:
        nonlocal done
        done += 1
        if done == count:
            ended.set()

    began = time.perf_counter()
    worker, queue = await _working(dsn, send)
    await ended.wait()
    queue.shutdown.set()
    await worker
    return count / (time.perf_counter() - began)


async def lateness(dsn: str, count: float, seconds: float) -> list[float]:
    """A worker that is there already."""
    queries = await _installed(dsn)
    noted: list[float] = []

    async def send(job: object) -> None:
        noted.append(late(json.loads(job.payload)["due"]))

    worker, queue = await _working(dsn, send)
    await _enqueue(queries, instants(int(count), seconds))
    await seen(noted, count)
    queue.shutdown.set()
    await worker
    return noted


async def _installed(dsn: str) -> Queries:
    queries = Queries(AsyncpgDriver(await asyncpg.connect(dsn)))
    await queries.install()
    return queries


async def _working(dsn: str, send: Callable[..., Awaitable[None]]) -> tuple[asyncio.Task[None], PgQueuer]:
    queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(dsn))
    queue.entrypoint("send")(send)
    return asyncio.create_task(queue.qm.run(batch_size=_BATCH)), queue


async def _enqueue(queries: Queries, due: list[float]) -> None:
    for begin in range(0, len(due), 1000):
        part, now = due[begin : begin + 1000], time.time()
        bodies = [json.dumps({**PAYLOAD, "due": at}).encode() for at in part]
        after = [timedelta(seconds=max(0.0, at - now)) for at in part]
        keys = [f"{begin + n}" for n in range(len(part))]
        await queries.enqueue(["send"] * len(part), bodies, [0] * len(part), after, keys)


run({"accepts": accepts, "drains": drains, "lateness": lateness})
