from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.rate import Policy, take


def test_a_seconds_worth_comes_at_once_and_then_one_by_one() -> None:
    policy, full_at = Policy("token", 4), 0.0
    left = []
    for _ in range(4):
        taken = take(policy, full_at, 100.0)
        assert taken
        full_at = taken.full_at
        left.append(taken.left)
    assert left == [3, 2, 1, 0]
    assert take(policy, full_at, 100.0) is None
    assert take(policy, full_at, 100.2) is None
    again = take(policy, full_at, 100.25)
    assert again
    assert again.said("token") == '"token";r=0;t=1'
    assert policy.quota() == '"token";q=4;w=1'


@given(
    st.integers(1, 50),
    st.lists(st.floats(0, 0.5, allow_nan=False), min_size=1, max_size=200),
)
def test_never_more_than_twice_a_quota_in_any_second_and_never_less_than_it(
    per_second: int, pauses: list[float]
) -> None:
    policy, full_at, now = Policy("token", per_second), 0.0, 1000.0
    let: list[float] = []
    for pause in pauses:
        now += pause
        taken = take(policy, full_at, now)
        if taken is not None:
            assert 0 <= taken.left < per_second
            full_at = taken.full_at
            let.append(now)
        else:  # somebody has used it up
            assert sum(1 for each in let if each > now - 1.0 - 1e-6) >= 1
    for each in let:
        in_a_second = [one for one in let if each <= one < each + 1.0]
        assert len(in_a_second) <= 2 * per_second


@pytest.mark.parametrize("per_second", [1, 3, 7, 10, 1000])
def test_whoever_keeps_to_the_pace_is_never_refused(per_second: int) -> None:
    policy, full_at = Policy("token", per_second), 0.0
    for n in range(5000):
        taken = take(policy, full_at, 86_400.0 + n / per_second)
        assert taken, n
        full_at = taken.full_at
