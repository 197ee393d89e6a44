"""`make bench`: what the service does beside what bare PostgreSQL does with the same rows.

make bench
make bench ARGS="accepts"
"""

from __future__ import annotations

import os
import platform
import sys

import asyncpg
import uvloop

from bench import (
    accepts,
    adapters,
    batch,
    decision,
    dispatch,
    lateness,
    limits,
    peers,
    rotation,
    sealing,
    simulation,
    waiting,
)
from bench.figures import HEADING
from bench.service import service

PARTS = {
    "accepts": accepts.measure,
    "adapters": adapters.measure,
    "batch": batch.measure,
    "decision": decision.measure,
    "dispatch": dispatch.measure,
    "lateness": lateness.measure,
    "limits": limits.measure,
    "peers": peers.measure,
    "rotation": rotation.measure,
    "sealing": sealing.measure,
    "simulation": simulation.measure,
    "waiting": waiting.measure,
}


async def _machine(dsn: str) -> str:
    """Where the figures come from; refused where commits would not be durable."""
    connection = await asyncpg.connect(dsn)
    shown = {
        name: await connection.fetchval(f"show {name}")
        for name in ("fsync", "synchronous_commit", "server_version")
    }
    await connection.close()
    assert shown["fsync"] == shown["synchronous_commit"] == "on"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; "
        f"PostgreSQL {shown['server_version']}, fsync on; Python {platform.python_version()}; "
        "database, service and load on this one machine"
    )


def main() -> None:
    """Measure the parts that were named, or all, one after the other."""
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        sys.exit(f"There is no part {unknown.pop()}; there are {', '.join(PARTS)}.")
    with service() as running:
        print(uvloop.run(_machine(running.dsn)))
        print(HEADING)
        for name in wanted:
            for figure in PARTS[name](running):
                print(figure, flush=True)


if __name__ == "__main__":
    main()
