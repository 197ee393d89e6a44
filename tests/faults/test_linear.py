"""The search finds an order where there is one, and says so where there is none."""

from __future__ import annotations

from math import inf

import pytest

from tests.faults.linear import Op, check

NOON, ONE = "2026-12-01T12:00:00.000Z", "2026-12-01T13:00:00.000Z"


def new(began: float = 0, ended: float = 1) -> Op:
    return Op("schedule", began, ended, 201, "scheduled", NOON, is_new=True)


def get(began: float, ended: float, seen: str = "scheduled", at: str = NOON) -> Op:
    return Op("get", began, ended, 200, seen, at)


def move(began: float, ended: float, at: str = ONE, status: int = 200, code: str | None = None) -> Op:
    return Op("move", began, ended, status, "scheduled", at, code)


def cancel(began: float, ended: float, status: int = 200, code: str | None = None) -> Op:
    return Op("cancel", began, ended, status, "cancelled", NOON if status == 200 else None, code)


GOOD = {
    "one after the other": [new(), get(2, 3), move(4, 5), get(6, 7, at=ONE)],
    "a read while it moves may be either": [new(), move(2, 9), get(3, 4, at=ONE), get(5, 6, at=ONE)],
    "it goes on by itself": [new(), get(2, 3, "sending"), get(4, 5, "scheduled"), get(6, 7, "sent")],
    "cancelled twice": [new(), cancel(2, 3), cancel(4, 5), get(6, 7, "cancelled")],
    "a cancel that comes too late": [new(), cancel(2, 3, 409, "in_flight"), get(4, 5, "sent")],
    "nobody knows whether it moved": [new(), move(2, inf, status=0), get(3, 4), get(8, 9, at=ONE)],
    "nor whether it was cancelled": [new(), cancel(2, inf, 0), get(5, 6), get(7, 8, "cancelled")],
    "a lost answer, then the same key": [
        new(0, inf),
        Op("schedule", 2, 3, 201, "scheduled", NOON),
        get(4, 5),
    ],
    "two moves at a time, in the other order": [new(), move(2, 9), move(3, 8, NOON), get(10, 11, at=ONE)],
    "what has begun is put back, and in between": [
        new(),
        move(2, 3, status=409, code="in_flight"),
        get(4, 5),
    ],
}
BAD = {
    "an old time is read after the move": [new(), move(2, 3), get(4, 5, at=NOON)],
    "a move is undone": [new(), move(2, 3), get(4, 5, at=ONE), get(6, 7, at=NOON)],
    "two readers, either first": [new(), move(2, 9), get(3, 4, at=ONE), get(5, 6, at=NOON)],
    "cancelled, and sent": [new(), cancel(2, 3), get(4, 5, "sent")],
    "sent, and cancelled": [new(), get(2, 3, "sent"), cancel(4, 5)],
    "moved after its cancel": [new(), cancel(2, 3), move(4, 5)],
    "in flight, and nobody had it": [new(), cancel(2, 3, 409, "already_sent"), get(4, 5)],
    "a key makes two": [new(), new(2, 3)],
    "cancelled, says its key, and it waits": [new(), Op("schedule", 2, 3, 422, code="dedup_key_cancelled"), get(4, 5)],
    "read before it was asked for": [get(0, 1), new(2, 3)],
    "an end is taken back": [new(), get(2, 3, "failed"), get(4, 5, "scheduled")],
    "an unheard move happens twice": [new(), move(2, inf, status=0), get(3, 4, at=ONE), move(5, 6, NOON), get(7, 8, at=ONE)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_an_order_is_found(name: str) -> None:
    assert check(GOOD[name]) is None
    assert check(reversed(GOOD[name])) is None


@pytest.mark.parametrize("name", BAD)
def test_where_there_is_none_it_says_so(name: str) -> None:
    assert str(check(BAD[name])).startswith("no order explains")


def test_many_calls_at_a_time_are_searched() -> None:
    moves = [move(2 + n / 100, 9 + n / 100, NOON if n % 2 else ONE) for n in range(12)]
    reads = [get(3 + n / 10, 4 + n / 10, at=NOON if n % 2 else ONE) for n in range(12)]
    assert check([new(), *moves, *reads]) is None
