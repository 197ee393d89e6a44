"""`make fuzz`: each target for its share of the time, led by the lines of our code that an input reaches.

    python -m tests.fuzz.drive --minutes 10 --seed 4711 [target]

Inputs that reached something new stay in .venv/fuzz, and the next run begins with them. One that broke a
target is printed; put it into tests/fuzz/corpus/TARGET, and every run of the tests replays it.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).with_name("corpus")
KEPT = Path(".venv/fuzz")

TARGETS = sorted(path.name for path in CORPUS.iterdir())


def fuzz(target: str, seconds: int, seed: int) -> None:
    """One target, in this process; libFuzzer ends it."""
    with atheris.instrument_imports(include=["comms"]):
        from tests.fuzz import targets
    kept, seeds = KEPT / target, CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    words = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([sys.argv[0], *words, "-print_final_stats=1", f"-artifact_prefix={kept}/broke-", str(kept), str(seeds)], targets.TARGETS[target])  # fmt: skip
    atheris.Fuzz()


def main() -> None:
    """All targets, or the one that was named, one after the other; status 1 where one broke."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--minutes", type=float, default=10)
    asked.add_argument("--seed", type=int, default=random.randrange(1, 2**31))
    asked.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked.add_argument("target", nargs="?", choices=TARGETS)
    given = asked.parse_args()
    wanted = [given.target] if given.target else TARGETS
    seconds = max(1, round(given.minutes * 60 / len(wanted)))
    if given.alone:
        fuzz(given.target, seconds, given.seed)
    failed = [target for target in wanted if not _went_well(target, seconds, given.seed)]
    sys.stdout.write(
        f"seed {given.seed}: {len(wanted) - len(failed)} of {len(wanted)} targets held for {seconds} s each\n"
    )
    raise SystemExit(bool(failed))


def _went_well(target: str, seconds: int, seed: int) -> bool:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.drive",
        "--alone",
        "--minutes",
        str(seconds / 60),
        "--seed",
        str(seed),
        target,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = ended.stderr.splitlines()
    told = [
        line for line in lines if line.startswith(("stat::number_of_executed_units", "stat::new_units_added"))
    ]
    sys.stdout.write(f"{target}: {', '.join(line.removeprefix('stat::') for line in told)}\n")
    if ended.returncode:
        sys.stdout.write("\n".join((ended.stdout.splitlines() + lines)[-40:]) + "\n")
    return ended.returncode == 0


if __name__ == "__main__":
    main()
