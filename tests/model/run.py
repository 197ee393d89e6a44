"""The machine, for as many steps as you like.

    python -m tests.model.run --steps 5000 --seed 7

Where the service and the model differ hypothesis looks for the shortest way there and prints it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import tempfile
from pathlib import Path

import hypothesis
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from comms.embedded_postgres import EmbeddedPostgres
from comms.store.database import connect_once
from comms.store.migrate import migrate
from tests.model.machine import Machine

STEPS_A_LIFE = 60


def drive(dsn: str, steps: int, seed: int, *, shrinks: bool = True) -> None:
    """So many steps, as `seed` draws them, on an empty migrated database; raises where the two differ."""
    lives, life = max(1, steps // STEPS_A_LIFE), min(steps, STEPS_A_LIFE)
    run_state_machine_as_test(
        hypothesis.seed(seed)(type("Machine", (Machine,), {"dsn": dsn})),
        settings=settings(
            max_examples=lives,
            stateful_step_count=life,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


async def _migrate(dsn: str) -> None:
    connection = await connect_once(dsn)
    await migrate(connection)
    await connection.close()


def main() -> None:
    """From the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=5_000)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--as-found", action="store_true", help="the first way that is found will do")
    given = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"{given.steps} steps, seed {given.seed}", flush=True)  # noqa: T201 - so that it can be run again
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        server.start()
        try:
            asyncio.run(_migrate(server.dsn))
            drive(server.dsn, given.steps, given.seed, shrinks=not given.as_found)
        finally:
            server.stop()
    ends = ", ".join(f"{count} {status}" for status, count in Machine.reached.most_common())
    print(f"the service did what the model says: {ends}")  # noqa: T201 - what came of it


if __name__ == "__main__":
    main()
