"""A figure beside what bare PostgreSQL did with the same rows in the same run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table. `ratio` where it is not that of the two: a median of rounds in pairs."""

    name: str
    ours: float
    raw: float
    ratio: float | None = None

    def __str__(self) -> str:
        ratio = self.ours / self.raw if self.ratio is None else self.ratio
        return f"{self.name:<62}{_number(self.ours):>9}{_number(self.raw):>9}{ratio:>8.2f}"


def paired(name: str, ours: Sequence[float], raw: Sequence[float]) -> Figure:
    """Of rounds in pairs: each pair had the same machine, and the median of their ratios is what it costs."""
    ratios = [mine / theirs for mine, theirs in zip(ours, raw, strict=True)]
    return Figure(name, median(ours), median(raw), median(ratios))


HEADING = f"{'':<62}{'ours':>9}{'raw':>9}{'ratio':>8}"


class Pace(NamedTuple):
    """What a run of calls came to: how many a second, and the milliseconds that one took."""

    rate: float
    p50: float
    p99: float


def pace(done: int, seconds: float, latencies: Sequence[float]) -> Pace:
    """The pace of `done` messages whose calls took `latencies` (seconds)."""
    return Pace(done / seconds, percentile(latencies, 0.5) * 1000, percentile(latencies, 0.99) * 1000)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def middle(runs: Iterable[Pace]) -> Pace:
    """The median of each figure over several runs."""
    return Pace(*(median(column) for column in zip(*runs, strict=True)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
