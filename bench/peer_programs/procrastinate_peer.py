"""procrastinate (psycopg 3) with its defaults: a job a message, `queueing_lock` as its key."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import procrastinate
from measuring import PAYLOAD, instants, late, paced, run, seen
from procrastinate.jobs import Job

logging.getLogger("procrastinate").setLevel("ERROR")  # it would warn of an app in a program's own module


@contextlib.asynccontextmanager
async def application(dsn: str) -> AsyncIterator[procrastinate.App]:
    """The library on an empty schema of its own."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, min_size=1, max_size=32))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield app


async def accepts(dsn: str, clients: float, seconds: float) -> float:
    """Scheduled an hour ahead."""
    async with application(dsn) as app:

        async def one(key: str) -> None:
            at = datetime.now(UTC) + timedelta(hours=1)
            task = app.configure_task("send", queue="messages", queueing_lock=key, schedule_at=at)
            await task.defer_async(**PAYLOAD)

        return await paced(one, int(clients), seconds)


async def drains(dsn: str, count: float) -> float:
    """From the worker's start until it finds nothing more."""
    async with application(dsn) as app:

        @app.task(name="send", queue="messages")
        async def send(**_message: object) -> None:
            """Nothing: the peer's own cost is what is measured."""

        await _defer(app, [time.time() - 1] * int(count))
        began = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=10, install_signal_handlers=False)
        return count / (time.perf_counter() - began)


async def lateness(dsn: str, count: float, seconds: float) -> list[float]:
    """A worker that is there already."""
    async with application(dsn) as app:
        noted: list[float] = []

        @app.task(name="send", queue="messages")
        async def send(due: float, **_message: object) -> None:
            noted.append(late(due))

        worker = asyncio.create_task(app.run_worker_async(concurrency=10, install_signal_handlers=False))
        await _defer(app, instants(int(count), seconds))
        await seen(noted, count)
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
        return noted


async def _defer(app: procrastinate.App, due: list[float]) -> None:
    jobs = [
        Job(
            queue="messages",
            lock=None,
            queueing_lock=f"{n}",
            task_name="send",
            task_kwargs={**PAYLOAD, "due": at},
            scheduled_at=datetime.fromtimestamp(at, UTC),
        )
        for n, at in enumerate(due)
    ]
    for begin in range(0, len(jobs), 1000):
        await app.job_manager.batch_defer_jobs_async(jobs=jobs[begin : begin + 1000])


run({"accepts": accepts, "drains": drains, "lateness": lateness})
