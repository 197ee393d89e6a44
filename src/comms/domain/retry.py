"""When to try again."""

from __future__ import annotations

LONGEST = 900.0
"""Seconds: no two attempts are planned further apart, unless the provider asks for it."""


def delay(attempt: int, chance: float, asked: float = 0.0) -> float:
    """Seconds to wait after attempt number `attempt` (from 1): 1 s, doubling up to 15 min.

    `chance` (0 to 1) spreads the attempts over one more step, so that a thousand messages that
    failed together do not come back together. `asked` is the provider's own `Retry-After`.
    """
    step = min(2.0 ** min(attempt - 1, 20), LONGEST)
    return max(min(step * (1 + chance), LONGEST), asked)
