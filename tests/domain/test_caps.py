"""How much one person gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain import caps
from comms.domain.brand import Cap
from comms.domain.caps import Sent

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAILY = Cap(2, 86_400, "drop")


def sent(number: int, hours_ago: float, channel: str = "email", category: str = "news") -> Sent:
    return Sent(f"m{number}", NOON - timedelta(hours=hours_ago), channel, category)


MESSAGE = sent(0, 0)


@pytest.mark.parametrize(
    ("before", "is_full"),
    [
        ([], False),
        ([sent(1, 1)], False),
        ([sent(1, 1), sent(2, 23)], True),
        ([sent(1, 1), sent(2, 24)], False),
        ([sent(1, 1), sent(2, 2, category="transactional")], False),
        ([sent(1, 1), sent(2, 2, "sms", "offers")], True),
        ([sent(1, 1), sent(0, 2)], False),
    ],
)
def test_what_counts(before: list[Sent], is_full: bool) -> None:  # noqa: FBT001 - a parameter of the test
    [counted] = caps.counted([DAILY], before, MESSAGE)
    assert counted.is_full is is_full


@pytest.mark.parametrize(
    ("cap", "channel", "category", "covers"),
    [
        (Cap(1, 60, "drop"), "sms", "news", True),
        (Cap(1, 60, "drop"), "sms", "transactional", False),
        (Cap(1, 60, "drop", category="transactional"), "sms", "transactional", True),
        (Cap(1, 60, "drop", category="news"), "sms", "offers", False),
        (Cap(1, 60, "drop", channel="sms"), "sms", "offers", True),
        (Cap(1, 60, "drop", channel="sms"), "email", "offers", False),
    ],
)
def test_what_a_cap_covers(cap: Cap, channel: str, category: str, *, covers: bool) -> None:
    assert cap.covers(channel, category) is covers


def test_there_is_room_when_the_oldest_that_fills_it_has_left() -> None:
    [counted] = caps.counted([DAILY], [sent(1, 1), sent(2, 5)], MESSAGE)
    assert counted.frees == NOON + timedelta(hours=19)


_CAPS = st.builds(
    Cap,
    st.integers(1, 3),
    st.integers(1, 10).map(lambda hours: hours * 3600),
    st.sampled_from(["drop", "defer"]),
    st.sampled_from([None, "news", "offers"]),
    st.sampled_from([None, "email"]),
)
_ARRIVALS = st.tuples(
    st.integers(0, 40),
    st.sampled_from(["email", "sms"]),
    st.sampled_from(["news", "offers", "transactional"]),
)


@given(st.lists(_CAPS, min_size=1, max_size=3), st.lists(_ARRIVALS, max_size=25))
def test_what_is_remembered_is_enough_and_no_cap_is_ever_passed(
    limits: list[Cap], arrivals: list[tuple[int, str, str]]
) -> None:
    """Messages come in time; those that fit are sent, and what is remembered judges as the whole past does."""
    remembered: list[Sent] = []
    past: list[Sent] = []
    for number, (hour, channel, category) in enumerate(sorted(arrivals)):
        one = Sent(f"m{number}", NOON + timedelta(hours=hour), channel, category)
        by_memory = caps.counted(limits, remembered, one)
        by_past = caps.counted(limits, sorted(past, key=lambda each: each.at, reverse=True), one)
        assert [each.is_full for each in by_memory] == [each.is_full for each in by_past]
        if by_memory and not any(each.is_full for each in by_memory):
            remembered = caps.with_another(limits, remembered, one)
            past.append(one)
    for cap in limits:
        covered = [each.at for each in past if cap.covers(each.channel, each.category)]
        for at in covered:
            assert sum(at - timedelta(seconds=cap.seconds) < each <= at for each in covered) <= cap.count
