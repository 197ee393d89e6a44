"""Bad nights, drawn by lot: callers at work, two faults at a time, then quiet, then the judge.

    python -m tests.faults.campaign --minutes 60 --seed 4711

Every round has a seed of its own, printed with it: `--seed N --rounds 1` plays it again, as far as
processes and their clocks let themselves be played again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults import faults, outside
from tests.faults.faults import Fault
from tests.faults.judge import judge, of_logs, of_rest
from tests.faults.load import Callers, History
from tests.faults.rig import Rig, rig

CLIENTS = 8
_REST_SECONDS = 90.0
FAULTS: list[Fault] = [
    faults.worker_dies,
    faults.worker_pauses,
    faults.somebody_dies_at_a_point,
    faults.somebody_stops_at_a_point,
    faults.api_dies,
    faults.machine_s_clock_is_wrong,
    faults.machine_is_elsewhere,
    faults.everybody_is_replaced,
    faults.files_run_out,
    faults.keys_are_away,
    faults.keys_are_rotated,
    faults.provider_is_moody,
    faults.provider_is_ill,
    outside.database_dies,
    outside.database_is_restarted,
    outside.backends_die,
    outside.line_breaks,
    outside.line_is_dead,
    outside.line_is_slow,
    outside.commits_are_not_heard_of,
    outside.database_is_read_only,
    outside.standby_takes_over,
    outside.slots_are_taken,
    outside.disk_is_full,
    outside.snapshot_is_held,
    outside.database_s_clock_is_set,
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


async def night(rig: Rig, seed: int, seconds: float, chosen: Sequence[Fault] = ()) -> Night:
    """One round: callers and faults together, then rest, then the judge."""
    rig.chance.seed(seed)
    chosen = chosen or rig.chance.sample(FAULTS, 2)
    callers = Callers(rig.addresses, rig.token, rig.chance, f"n{seed}", rig.chance.choice([40, 40, 40, 4]))
    already, unheard = len(rig.provider.taken), rig.proxy.cuts
    calling = asyncio.create_task(callers.run(seconds, CLIENTS))
    for fault in chosen:
        await asyncio.sleep(rig.chance.uniform(0.2, 1.0))
        await fault(rig)
    await calling
    rig.provider.mood = "well"
    await rig.replace_the_dead()
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
        [*judge(history, taken), *await aftermath(rig, history)],
    )


async def aftermath(rig: Rig, history: History) -> list[str]:
    """What is left once it is quiet: in the database, and in the logs."""
    connection = await rig.database()
    left = await of_rest(connection)
    await connection.close()
    asked = history.asked.values()
    private = [str(each[name]) for each in asked for name in ("recipient", "dedup_key")]
    return [*left, *of_logs(rig.folder, private)]


async def crowd(rig: Rig, seed: int, calls: int) -> History:
    """No fault: all callers ask about the same few messages, so that calls overlap; so many in all."""
    rig.chance.seed(seed)
    callers = Callers(rig.addresses, rig.token, rig.chance, f"c{seed}", hot=3)
    while len(callers.history.heard) < calls:
        await callers.run(0.2, CLIENTS)
    return callers.history


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
            points = ", ".join(f"{count} {name}" for name, count in sorted(made.points.items()))
            print(f"somebody died or was stopped: {points or 'nobody'}")  # noqa: T201 - as above
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
