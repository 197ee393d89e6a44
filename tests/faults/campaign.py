"""Bad nights, drawn by lot: callers at work, two faults at a time, then quiet, then the judge.

    python -m tests.faults.campaign --minutes 60 --seed 4711

Every round has a seed of its own, printed with it: `--seed N --rounds 1` plays it again, as far as
processes and their clocks let themselves be played again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.judge import judge
from tests.faults.load import Callers
from tests.faults.rig import LEASE, Rig, rig

CLIENTS = 8
_REST_SECONDS = 90.0
_COMMITS = (
    b"insert into dedup",
    b"set state = 'sending'",
    b"insert into delivery",
    b"delete from queue",
    b"-- cancel",
)
"""Words of the statements whose commit is not heard of: accept, claim, freeze, record or cancel."""


async def worker_dies(rig: Rig) -> None:
    """kill -9, and another comes."""
    n = rig.chance.randrange(len(rig.workers))
    rig.workers[n].kill()
    rig.workers[n] = await rig.start_worker()


async def worker_pauses(rig: Rig) -> None:
    """SIGSTOP, for half a lease to three."""
    process = rig.chance.choice(rig.workers).process
    os.killpg(process.pid, signal.SIGSTOP)
    await asyncio.sleep(LEASE * rig.chance.choice([0.5, 1.0, 1.5, 3.0]))
    os.killpg(process.pid, signal.SIGCONT)


async def api_dies(rig: Rig) -> None:
    """kill -9, while it is asked."""
    rig.api.kill()
    rig.api = await rig.start_api()


async def database_dies(rig: Rig) -> None:
    """kill -9: the postmaster, or all of it; then it is started again."""
    rig.kill_database(group=rig.chance.random() < 0.5)
    await asyncio.sleep(0.3)
    rig.server.restart()


async def backends_die(rig: Rig) -> None:
    """Every session is ended by an administrator, five times."""
    for _ in range(5):
        connection = await rig.database()
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename is not null"
        )
        await connection.close()
        await asyncio.sleep(0.2)


async def line_breaks(rig: Rig) -> None:
    """All connections are reset, three times."""
    for _ in range(3):
        rig.proxy.cut()
        await asyncio.sleep(0.5)


async def line_is_dead(rig: Rig) -> None:
    """Nothing passes, and nobody is told."""
    with rig.proxy.silence():
        await asyncio.sleep(rig.chance.uniform(0.5, 2.5))


async def line_is_slow(rig: Rig) -> None:
    """A tenth of a second more for each message, in both directions."""
    rig.proxy.delay = 0.1
    await asyncio.sleep(2)
    rig.proxy.delay = 0.0


async def commits_are_not_heard_of(rig: Rig) -> None:
    """It is committed, and the connection breaks before the answer."""
    for words in rig.chance.choices(_COMMITS, k=8):
        rig.proxy.cut_after(words)
        await asyncio.sleep(0.25)


async def provider_is_moody(rig: Rig) -> None:
    """Slow, busy, lost answers."""
    rig.provider.mood = "moody"
    await asyncio.sleep(4)


async def provider_is_ill(rig: Rig) -> None:
    """Nothing is taken for a while."""
    rig.provider.mood = "ill"
    await asyncio.sleep(2)


async def snapshot_is_held(rig: Rig) -> None:
    """Somebody's long transaction keeps every dead row."""
    connection = await rig.database()
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await connection.fetchval("select count(*) from message")
    await asyncio.sleep(4)
    await connection.close()


Fault = Callable[[Rig], Awaitable[None]]

FAULTS: list[Fault] = [
    worker_dies,
    worker_pauses,
    api_dies,
    database_dies,
    backends_die,
    line_breaks,
    line_is_dead,
    line_is_slow,
    commits_are_not_heard_of,
    provider_is_moody,
    provider_is_ill,
    snapshot_is_held,
]


class Night(NamedTuple):
    """What came of a round."""

    seed: int
    faults: list[str]
    calls: int
    accepted: int
    taken: int
    unheard: int
    unknown: int
    problems: list[str]

    def line(self) -> str:
        """As it is printed."""
        return (
            f"seed {self.seed}: {' + '.join(self.faults)}: {self.calls} calls, {self.accepted} messages, {self.taken} taken, "
            f"{self.unknown} unknown, {self.unheard} commits unheard: {'; '.join(self.problems[:5]) or 'all kept'}"
        )


async def night(rig: Rig, seed: int, seconds: float, faults: Sequence[Fault] = ()) -> Night:
    """One round: callers and faults together, then rest, then the judge."""
    rig.chance.seed(seed)
    chosen = faults or rig.chance.sample(FAULTS, 2)
    callers = Callers(rig.address, rig.token, rig.chance, f"n{seed}")
    already, unheard = len(rig.provider.taken), rig.proxy.cuts
    calling = asyncio.create_task(callers.run(seconds, CLIENTS))
    for fault in chosen:
        await asyncio.sleep(rig.chance.uniform(0.2, 1.0))
        await fault(rig)
    await calling
    rig.provider.mood = "well"
    await callers.finish(time.monotonic() + _REST_SECONDS)
    taken = rig.provider.taken[already:]
    history = callers.history
    ends = [heard.body.get("status") for heard in history.heard if heard.name == "get"]
    return Night(
        seed,
        [fault.__name__ for fault in chosen],
        len(history.heard),
        len(history.ids),
        len(taken),
        rig.proxy.cuts - unheard,
        ends.count("unknown"),
        judge(history, taken),
    )


async def campaign(seed: int, minutes: float, rounds: int | None) -> int:
    """Round after round until the time is over; how many broke a promise."""
    ends, failed, number = time.monotonic() + minutes * 60, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder), seed) as made:
            while time.monotonic() < ends and number != rounds:
                came = await night(made, seed + number, 8.0)
                print(came.line(), flush=True)  # noqa: T201 - a campaign prints what came of it
                failed += bool(came.problems)
                number += 1
    print(f"{number} rounds, {failed} broke a promise")  # noqa: T201 - as above
    return failed


def main() -> None:
    """From the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--rounds", type=int)
    given = options.parse_args()
    raise SystemExit(asyncio.run(campaign(given.seed, given.minutes, given.rounds)) > 0)


if __name__ == "__main__":
    main()
