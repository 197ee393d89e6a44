from __future__ import annotations

import itertools

import pytest

from comms.domain.outcome import Standing, event, goes_on, standing, told

S = Standing
ANSWERS = (None, "accepted", "rejected", "try_later", "misconfigured", "lost")


@pytest.mark.parametrize(
    ("answer", "doubts", "idempotent", "prefers", "expected"),
    [
        (None, 0, False, False, S.OPEN),
        ("try_later", 0, True, True, S.OPEN),
        ("misconfigured", 0, False, True, S.OPEN),
        ("accepted", 0, False, False, S.TAKEN),
        ("accepted", 2, False, False, S.TAKEN),
        ("rejected", 1, True, True, S.REFUSED),
        ("lost", 1, True, False, S.ASK),
        ("lost", 7, True, True, S.ASK),
        ("try_later", 1, True, False, S.ASK),
        ("misconfigured", 1, False, False, S.DOUBT),
        ("lost", 1, False, False, S.DOUBT),
        ("lost", 1, False, True, S.REPEAT),
        ("try_later", 1, False, True, S.REPEAT),
        ("lost", 2, False, True, S.DOUBT),
    ],
)
def test_where_a_delivery_stands(
    answer: str | None, doubts: int, *, idempotent: bool, prefers: bool, expected: Standing
) -> None:
    assert standing(answer, doubts, idempotent=idempotent, prefers_duplicate=prefers) is expected


@pytest.mark.parametrize(
    ("deliveries", "late", "expected"),
    [
        ([], False, "reject"),
        ([], True, "expire"),
        ([S.TAKEN], False, "accept"),
        ([S.TAKEN], True, "accept"),
        ([S.REFUSED], False, "reject"),
        ([S.OPEN], False, "retry"),
        ([S.OPEN], True, "expire"),
        ([S.ASK], False, "retry"),
        ([S.ASK], True, "lose"),
        ([S.REPEAT], True, "lose"),
        ([S.DOUBT], False, "lose"),
        ([S.TAKEN, S.REFUSED], False, "accept"),
        ([S.TAKEN, S.OPEN], False, "retry"),
        ([S.TAKEN, S.OPEN], True, "accept"),
        ([S.TAKEN, S.DOUBT], False, "lose"),
        ([S.REFUSED, S.OPEN], True, "expire"),
        ([S.DOUBT, S.OPEN], False, "retry"),
    ],
)
def test_what_follows_for_the_message(deliveries: list[Standing], *, late: bool, expected: str) -> None:
    assert event(deliveries, stopped="expire" if late else None) == expected


def test_what_may_not_go_any_more_ends_by_what_stopped_it() -> None:
    assert event([], stopped="suppress") == "suppress"
    assert event([S.OPEN, S.REFUSED], stopped="suppress") == "suppress"
    assert event([S.ASK], stopped="suppress") == "lose"
    assert event([S.TAKEN, S.OPEN], stopped="suppress") == "accept"


def test_what_may_have_been_taken_goes_again_only_where_that_is_safe_or_preferred() -> None:
    for answer, doubts in itertools.product(ANSWERS, range(4)):
        for idempotent, prefers in itertools.product((False, True), repeat=2):
            stands = standing(answer, doubts, idempotent=idempotent, prefers_duplicate=prefers)
            if goes_on(stands) and doubts:
                assert idempotent or (prefers and doubts == 1)


def test_nothing_that_was_taken_or_in_doubt_is_called_expired_or_refused() -> None:
    for count in range(4):
        for deliveries in itertools.product(S, repeat=count):
            for late in (False, True):
                if event(deliveries, stopped="expire" if late else None) in {"expire", "reject"}:
                    assert not set(deliveries) & {S.TAKEN, S.ASK, S.REPEAT, S.DOUBT}


@pytest.mark.parametrize(
    ("answer", "doubts", "heard", "counts"),
    [
        (None, 1, "taken", "accepted"),
        ("lost", 3, "taken", "accepted"),
        ("try_later", 1, "taken", "accepted"),
        ("lost", 1, "refused", "rejected"),
        ("lost", 2, "refused", "lost"),  # one of two calls came to nothing: the other may arrive
        ("try_later", 0, "refused", "try_later"),  # there was no doubt: it is about nothing of ours
        ("accepted", 1, "refused", "accepted"),  # an answer is an answer
        ("rejected", 0, "taken", "rejected"),
        ("lost", 1, None, "lost"),
        (None, 0, None, None),
    ],
)
def test_what_is_heard_counts_as_the_answer_that_was_lost(
    answer: str | None, doubts: int, heard: str | None, counts: str | None
) -> None:
    assert told(answer, doubts, heard) == counts
