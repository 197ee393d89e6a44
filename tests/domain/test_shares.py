"""Whose messages are claimed next: by weight, the nearest deadline first, and never only the oldest."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from comms.domain.shares import Lane, Portion, portions, split

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def lane(number: int, brand_id: str, late: float = 1.0, room: str | None = None, max_late: int = 4) -> Lane:
    due_at = NOW - timedelta(seconds=late)
    return Lane(UUID(int=number), brand_id, due_at, due_at + max_late * HOUR, room)


def by_template(found: list[Portion]) -> dict[int, int]:
    counted: Counter[int] = Counter()
    for portion in found:
        counted[portion.template_id.int] += portion.most
    return dict(counted)


def test_brands_share_whatever_each_has_waiting() -> None:
    assert by_template(portions([lane(1, "a"), lane(2, "b")], {}, {}, NOW, 100, 0)) == {1: 50, 2: 50}


def test_a_brand_has_one_share_however_many_templates_it_has() -> None:
    lanes = [lane(1, "a"), lane(2, "a"), lane(3, "a"), lane(4, "b")]
    found = by_template(portions(lanes, {}, {}, NOW, 100, 0))
    assert found[4] == 50
    assert sum(found.values()) == 100


def test_a_heavier_brand_has_more() -> None:
    found = by_template(portions([lane(1, "a"), lane(2, "b")], {"a": 4}, {}, NOW, 100, 0))
    assert found == {1: 80, 2: 20}


def test_half_goes_to_what_is_overdue_by_deadline_and_half_to_what_has_just_become_due() -> None:
    lanes = [lane(1, "a", late=7200, max_late=4), lane(2, "a", late=3600, max_late=2), lane(3, "a")]
    found = portions(lanes, {}, {}, NOW, 100, 0)
    minute = NOW - timedelta(minutes=1)
    assert [each for each in found if each.until == minute] == [
        Portion(UUID(int=2), NOW - timedelta(seconds=3600), minute, 50)
    ]
    new = [each for each in found if each.until == NOW]
    assert sum(each.most for each in new) == 50
    assert all(each.since >= minute for each in new)
    assert {each.template_id.int for each in new} == {1, 2, 3}


def test_with_room_for_one_it_is_the_backlog_s_turn_every_other_time() -> None:
    lanes = [lane(1, "a", late=7200, room="p")]
    turns = [portions(lanes, {}, {"p": 1}, NOW, 100, turn) for turn in range(4)]
    assert [each.until == NOW for (each,) in turns] == [True, False, True, False]


def test_a_provider_s_room_is_shared_by_brands_too() -> None:
    lanes = [lane(1, "a", room="p"), lane(2, "b", room="p"), lane(3, "b")]
    found = by_template(portions(lanes, {}, {"p": 10}, NOW, 100, 0))
    assert (found[1], found[2]) == (5, 5)
    assert found[3] >= 25


def test_where_there_is_not_enough_for_all_everybody_has_a_turn() -> None:
    lanes = [lane(number, f"brand {number}") for number in range(30)]
    served = {number for turn in range(30) for number in by_template(portions(lanes, {}, {}, NOW, 10, turn))}
    assert served == set(range(30))


numbers = st.integers(0, 5)
lanes_ = st.lists(
    st.builds(
        lane,
        st.integers(0, 1000),
        st.sampled_from("abcd"),
        st.sampled_from([0.001, 1.0, 100.0, 5000.0]),
        st.sampled_from([None, "p", "q"]),
    ),
    max_size=12,
    unique_by=lambda each: each.template_id,
)


@given(lanes_, numbers, numbers, st.integers(1, 100), numbers)
def test_nothing_exceeds_the_limit_or_a_provider_s_room(
    lanes: list[Lane], p: int, q: int, limit: int, turn: int
) -> None:
    rooms: dict[object, int] = {"p": p, "q": q}
    found = portions(lanes, {"a": 3}, rooms, NOW, limit, turn)
    whose = {each.template_id: each.room for each in lanes}
    assert sum(each.most for each in found) <= limit
    for room, whole in rooms.items():
        assert sum(each.most for each in found if whose[each.template_id] == room) <= whole
    assert all(each.most > 0 and each.since < each.until for each in found)


def test_what_is_split_is_split_whole() -> None:
    assert split(10, ["a", "b", "c"], {"a": 2}) == {"a": 6, "b": 2, "c": 2}
    assert split(2, ["a", "b", "c"], {}) == {"a": 1, "b": 1}
    assert split(0, ["a"], {}) == {}
