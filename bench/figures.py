"""A figure beside what bare PostgreSQL did with the same rows in the same run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table."""

    name: str
    ours: float
    raw: float

    def __str__(self) -> str:
        return f"{self.name:<62}{_number(self.ours):>9}{_number(self.raw):>9}{self.ours / self.raw:>8.2f}"


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
