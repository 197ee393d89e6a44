"""What a process counts of itself, as Prometheus reads it.

Labels are words of ours, route patterns, and the ids that operators gave to providers. None holds
anything of a person, a brand or a template: the first must not be known here, the others have no end.

The counting is plain arithmetic, since one loop does it: with the library's counters, which are made
for many threads, it cost twice as much an accept. The format is the library's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

ENDS = (
    "sent",
    "failed",
    "expired",
    "suppressed",
    "cancelled",
    "unknown",
    "settled",
    "retried",
    "deferred",
    "held",
)
"""What may become of a message or of an attempt, in the words of its timeline."""

ERASED = ("message", "delivery", "inbox_item", "sandbox_item", "provider_event")
"""Of what retention erases, in the words of its tables."""

_LATENESS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
_ANSWER = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Label = str | int


class Count:
    """A counter; its values by those of its labels."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self._about = (name, meaning)
        self._labels = labels
        self._counts: dict[tuple[Label, ...], int] = defaultdict(int, {} if labels else {(): 0})

    def add(self, *labels: Label, by: int = 1) -> None:
        """It happened, to one or `by`."""
        self._counts[labels] += by

    def collect(self) -> CounterMetricFamily:
        """As the library writes it."""
        family = CounterMetricFamily(*self._about, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric([str(label) for label in labels], count)
        return family


class Seconds:
    """A histogram of durations, by the values of its labels; each counts where it first fits."""

    def __init__(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> None:
        self._about = (name, meaning)
        self._labels = labels
        self._bounds = buckets
        self._counts: dict[tuple[Label, ...], list[int]] = defaultdict(lambda: [0] * (len(buckets) + 1))
        self._sums: dict[tuple[Label, ...], float] = defaultdict(float)
        if not labels:
            self._counts[()] = [0] * (len(buckets) + 1)  # shown before anything took any time

    def add(self, seconds: float, *labels: Label) -> None:
        """It took so long."""
        self._counts[labels][bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> HistogramMetricFamily:
        """As the library writes it: each bucket holds those before it, too."""
        family = HistogramMetricFamily(*self._about, labels=self._labels)
        bounds = [*map(str, self._bounds), "+Inf"]
        for labels, counts in self._counts.items():
            buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
            family.add_metric([str(label) for label in labels], buckets, self._sums[labels])
        return family


class Metrics:
    """One process's."""

    def __init__(self) -> None:
        self.accepted = Count(
            "comms_accepted", "Requests answered with a message.", "kind", "channel", "replayed"
        )
        self.refused = Count("comms_refused", "Requests that an operation refused.", "code")
        self.claimed = Count("comms_claimed", "Messages claimed to be delivered.")
        self.attempts = Count("comms_attempts", "Hand-overs to providers.", "provider", "outcome")
        self.ended = Count("comms_ended", "What became of messages and attempts.", "event")
        self.lateness = Seconds(
            "comms_lateness_seconds", "From when an attempt was due to its hand-over.", _LATENESS
        )
        self.provider = Seconds("comms_provider_seconds", "How long a provider took.", _ANSWER, "provider")
        self.events = Count("comms_events", "Events told to those who subscribed.", "outcome")
        self.erased = Count("comms_erased", "Rows whose content retention has erased.", "of")
        self.requests = Count("comms_http_requests", "Requests by HTTP.", "route", "method", "status")
        self.request = Seconds("comms_http_request_seconds", "How long a request took.", _ANSWER, "route")
        self.in_flight: Callable[[], int] = lambda: 0
        """How many messages are being delivered; the worker says."""
        for event in ENDS:  # to Prometheus, from no series at all to one is no increase
            self.ended.add(event, by=0)
        for outcome in ("taken", "not_taken", "missed"):
            self.events.add(outcome, by=0)
        for table in ERASED:
            self.erased.add(table, by=0)
        self.refused.add("internal_error", by=0)

    def expose(self, gauges: Iterable[Metric]) -> bytes:
        """The text of one scrape, with `gauges` that were read for it."""
        return generate_latest(_Read([*self._own(), *gauges]))

    def _own(self) -> Iterator[Metric]:
        counted = (self.accepted, self.refused, self.claimed, self.attempts, self.ended)
        told = (self.events, self.erased, self.requests)
        timed = (self.lateness, self.provider, self.request)
        yield from (each.collect() for each in (*counted, *told, *timed))
        yield gauge("comms_in_flight", "Messages being delivered.", [], [([], self.in_flight())])
        yield from ProcessCollector(registry=None).collect()


def gauge(
    name: str, meaning: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    """What stands at this moment: a value for each combination of labels."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


class _Read(Collector):
    """What was read a moment ago, in the form that the library writes out."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """As it was given."""
        return self._families
