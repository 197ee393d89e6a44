"""What tests hand in where the product takes the world as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from comms.clock import Clock


class FakeClock(Clock):
    """A clock that stands still until it is moved; statements go by it too."""

    def __init__(self, instant: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)) -> None:
        self.instant = instant
        self._passed = 0.0

    def now(self) -> datetime:
        """The instant that was set."""
        return self.instant

    def monotonic(self) -> float:
        """Seconds by which the clock was advanced; setting the instant does not count, as on a machine."""
        return self._passed

    def sql_now(self) -> datetime:
        """The same instant for the database."""
        return self.instant

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.instant += timedelta(seconds=seconds)
        self._passed += seconds
