"""One decision, beside the ten microseconds that it may take; its facts are there already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.figures import Figure
from bench.service import Service
from comms.domain import caps, quiet
from comms.domain.brand import Cap, QuietHours
from comms.domain.caps import Sent
from comms.domain.decision import Facts, Guard, decide
from comms.domain.permission import Evidence, Permission
from comms.domain.quiet import Zone

_NOW = datetime(2027, 3, 27, 12, tzinfo=UTC)
_ZONE = Zone("Europe/Berlin", "person")
_EVIDENCE = (
    Evidence("consent", "consent", "opted_in", ""),
    Evidence("preference", "preference", "enabled", ""),
)
_LIMITS = [Cap(3, 604_800, "defer"), Cap(1, 86_400, "drop", "news")]
_SENT = [Sent(str(day), _NOW - timedelta(days=day), "email", "news") for day in (2, 4)]
_HOURS = QuietHours("21:00", "08:00")
_ALLOWED = 10.0
_CALLS = 20_000
_ROUNDS = 5


def measure(_service: Service) -> Iterator[Figure]:
    """The verdict alone; last, with reading the clock on the wall, at night, and counting for the caps."""
    plain = Facts(_NOW, _NOW, 1, hipaa=False, permission=Permission("transactional"))
    night = _NOW.replace(day=10, hour=23)
    for name, call, given in (
        ("transactional", decide, plain),
        ("every rule asked", decide, _full(_NOW)),
        ("and its facts put together", _whole, night),
    ):
        yield Figure(f"decision µs, {name}; raw: what it may take", _microseconds(call, given), _ALLOWED)


def _full(now: datetime) -> Facts:
    """Consent, a fact, quiet hours and two caps; none of them stops the message by day."""
    message = Sent("message", now, "email", "news")
    return Facts(
        now,
        now,
        1,
        hipaa=False,
        permission=Permission("news", _EVIDENCE),
        guards=(Guard("fact", "aa", "aa"),),
        quiet=quiet.look(_HOURS, _ZONE, now),
        caps=caps.counted(_LIMITS, _SENT, message),
    )


def _whole(now: datetime) -> None:
    decide(_full(now))


def _microseconds(call: Callable[..., object], given: object) -> float:
    """Of this thread's own time: who else is at work on the machine does not count."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.thread_time()
        for _ in range(_CALLS):
            call(given)
        rounds.append((time.thread_time() - began) / _CALLS * 1e6)
    return median(rounds)
