"""Two clocks, and answers that take their time: never early, and not fooled for long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from comms.clock import Clock
from comms.dispatch.instants import Instants

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class TwoClocks(Clock):
    """The machine's monotonic clock, and a database's that is `ahead` of it."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.ahead = timedelta()

    def monotonic(self) -> float:
        return self.passed

    def database(self) -> datetime:
        return NOON + timedelta(seconds=self.passed) + self.ahead

    def answer(self, instants: Instants, there: float, back: float) -> None:
        asked = self.passed
        self.passed += there
        read = self.database()
        self.passed += back
        instants.observe(asked, read)


ROUND_TRIPS = st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 3)), min_size=1)


@given(ROUND_TRIPS, st.floats(0, 100))
def test_it_is_never_early(trips: list[tuple[float, float, float]], seconds: float) -> None:
    clock = TwoClocks()
    instants = Instants(clock)
    for there, back, pause in trips:
        clock.answer(instants, there, back)
        clock.passed += pause
    instant = clock.database() + timedelta(seconds=seconds)
    assert instants.until(instant) >= seconds - 0.00001


def test_the_quickest_answer_is_believed() -> None:
    clock = TwoClocks()
    instants = Instants(clock)
    for back in (0.3, 0.001, 0.2):
        clock.answer(instants, 0.001, back)
    assert abs(instants.until(clock.database() + timedelta(seconds=1)) - 1) < 0.0011


@given(st.sampled_from([-3600.0, -2.0, -0.1, 0.1, 2.0, 3600.0]))
def test_a_clock_that_was_set_is_noticed_at_its_first_answer(step: float) -> None:
    clock = TwoClocks()
    instants = Instants(clock)
    clock.answer(instants, 0.001, 0.001)
    clock.ahead = timedelta(seconds=step)
    clock.answer(instants, 0.001, 0.001)
    assert abs(instants.until(clock.database() + timedelta(seconds=1)) - 1) < 0.002
