"""Time is handed in, so that tests and simulations can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, where there is such a clock: leases do, too."""


class Clock:
    """The machine's clock, for what is shown; the database's decides what is due."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary point; never goes back. For leases and time-outs."""
        return time.clock_gettime(_SINCE_BOOT)

    def sql_now(self) -> datetime | None:
        """The instant that statements shall take for now; None: the database's own clock decides."""
        return None
