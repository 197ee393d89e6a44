from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from comms.domain.decision import Facts, Verdict
from comms.domain.permission import Permission
from comms.domain.simulation import Waiting, walk

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SEND = Verdict("send", "clear", "")


def waiting(number: int, hours: float, max_late: float = 1) -> Waiting:
    due = NOON + hours * HOUR
    return Waiting(due, UUID(int=number), due + max_late * HOUR, max_late * HOUR)


def walked(
    *messages: Waiting, until: float = 24, off: dict[int, float] | None = None
) -> list[tuple[int, float, float]]:
    """Number, hour and deadline of each judgement; `off` puts a message off once, to that hour."""
    once = dict(off or {})

    def judge(each: Waiting, now: datetime) -> tuple[Facts, Verdict]:
        facts = Facts(now, each.deadline, 1, hipaa=False, permission=Permission("news"))
        later = once.pop(each.id.int, None)
        return facts, SEND if later is None else Verdict("defer", "quiet_hours", "", NOON + later * HOUR)

    steps = walk(messages, NOON, NOON + until * HOUR, judge)
    return [(s.id.int, (s.facts.now - NOON) / HOUR, (s.facts.deadline - NOON) / HOUR) for s in steps]


def test_each_is_judged_at_its_time_in_order() -> None:
    assert walked(waiting(2, 3), waiting(3, 1), waiting(1, 3)) == [(3, 1, 2), (1, 3, 4), (2, 3, 4)]


def test_the_overdue_are_judged_at_once_the_oldest_first() -> None:
    assert walked(waiting(1, -1), waiting(2, -2), waiting(3, 0)) == [(2, 0, -1), (1, 0, 0), (3, 0, 1)]


def test_what_is_put_off_is_judged_again_among_the_others_and_its_lateness_begins_anew() -> None:
    found = walked(waiting(1, 1, max_late=5), waiting(2, 2), waiting(3, 4), off={1: 3})
    assert found == [(1, 1, 6), (2, 2, 3), (1, 3, 8), (3, 4, 5)]


@pytest.mark.parametrize(("until", "judged"), [(0.9, []), (1, [1]), (2.9, [1]), (3, [1, 1])])
def test_what_is_due_after_the_end_is_not_judged(until: float, judged: list[int]) -> None:
    assert [number for number, *_ in walked(waiting(1, 1), until=until, off={1: 3})] == judged
