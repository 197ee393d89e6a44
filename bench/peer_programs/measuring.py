"""What every peer's program does alike: it is called, measures one thing, and prints it as JSON.

    python program.py DSN accepts CLIENTS SECONDS    # -> accepted a second
    python program.py DSN drains COUNT               # -> done a second
    python program.py DSN lateness COUNT SECONDS     # -> [milliseconds late, ...]

These programs know nothing of comms: they run in an environment of their own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

PAYLOAD = {
    "channel": "sms",
    "to": "+15555550123",
    "text": "Hello Ada, see you tomorrow at ten. Reply C to confirm.",
}


async def paced(one: Callable[[str], Awaitable[object]], clients: int, seconds: float) -> float:
    """Callers who each ask again as soon as they are answered, each time with a new key; answers a second."""
    began = time.perf_counter()
    done = 0

    async def caller(number: int) -> None:
        nonlocal done
        mine = 0
        while time.perf_counter() < began + seconds:
            await one(f"{number}-{mine}")
            mine += 1
            done += 1

    await asyncio.gather(*(caller(number) for number in range(clients)))
    return done / (time.perf_counter() - began)


async def seen(noted: list[float], count: float) -> list[float]:
    """What was noted, once there is so much of it."""
    while len(noted) < count:  # noqa: ASYNC110 - the peer's own tasks fill it
        await asyncio.sleep(0.1)
    return noted


def instants(count: int, seconds: float) -> list[float]:
    """Random times, in seconds since 1970, from soon on."""
    start = time.time() + 3
    return sorted(start + random.random() * seconds for _ in range(count))


def late(due: float) -> float:
    """Milliseconds since then."""
    return (time.time() - due) * 1000


def run(measures: dict[str, Callable[..., Awaitable[object]]]) -> None:
    """Measure what the command line names."""
    dsn, wanted, *numbers = sys.argv[1:]
    print(json.dumps(uvloop.run(measures[wanted](dsn, *map(float, numbers)))))
