"""How many requests a second: a generic cell rate algorithm (ITU-T I.371), one number a caller.

A second's worth may come at once; then each next one once its share of a second has passed. And it is said
in HTTP as draft-ietf-httpapi-ratelimit-headers-11 has it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

WINDOW = 1.0
"""Seconds that a quota is counted over."""

_ROUNDING = 1e-9


class Policy(NamedTuple):
    """A limit that has a name: `token` or `brand`."""

    name: str
    per_second: int

    def quota(self) -> str:
        """A member of RateLimit-Policy."""
        return f'"{self.name}";q={self.per_second};w={WINDOW:g}'


class Taken(NamedTuple):
    """A request that may be answered. `full_at`: when none counts any more, on the clock of `now`."""

    full_at: float
    left: int
    seconds: int
    """Until all of the quota is there again, rounded up."""

    def said(self, name: str) -> str:
        """A member of RateLimit."""
        return f'"{name}";r={self.left};t={self.seconds}'


def take(policy: Policy, full_at: float, now: float) -> Taken | None:
    """One more request; None where there is one too many. `full_at` is that of the one before, or 0."""
    begins = max(full_at, now)
    ends = begins + WINDOW / policy.per_second
    room = WINDOW - (ends - now)
    if room < -_ROUNDING:
        return None
    left = math.floor(room * policy.per_second / WINDOW + _ROUNDING * policy.per_second)
    return Taken(ends, left, math.ceil(ends - now))
