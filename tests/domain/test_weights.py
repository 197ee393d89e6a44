"""Whose turn it is on a route that is shared by weight."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.weights import drawn

MESSAGES = [UUID(int=number * 2**64 + 7) for number in range(4000)]


def test_of_many_messages_each_gets_its_share() -> None:
    weights = {"a": 1, "b": 3, "c": 6}
    counted = Counter(drawn(["a", "b", "c"], weights, each) for each in MESSAGES)
    for name, weight in weights.items():
        assert counted[name] == pytest.approx(400 * weight, rel=0.1)


def test_where_one_goes_nothing_moves_but_what_it_had() -> None:
    weights = {"a": 2, "b": 2, "c": 2}
    before = {each: drawn(["a", "b", "c"], weights, each) for each in MESSAGES}
    after = {each: drawn(["a", "c"], weights, each) for each in MESSAGES}
    assert {before[each] for each in MESSAGES if before[each] != after[each]} == {"b"}


@given(st.uuids(), st.permutations(["a", "b", "c"]))
def test_the_order_of_the_route_draws_nothing(message_id: UUID, route: list[str]) -> None:
    assert drawn(route, {"a": 1, "b": 1}, message_id) == drawn(["a", "b"], {"b": 1, "a": 1}, message_id)


@pytest.mark.parametrize("weights", [{}, {"a": 5}, {"elsewhere": 1, "a": 1}])
def test_one_alone_shares_with_nobody(weights: dict[str, int]) -> None:
    assert drawn(["a", "b"], weights, MESSAGES[0]) is None
