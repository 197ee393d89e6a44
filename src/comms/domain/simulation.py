"""What will become of messages that wait: the judgement on each at its time, on a clock that is only a value.

Whoever judges is handed in, and keeps count of what the persons have got by then. What is put off is
judged again at its new time, and may be late from there on, as in the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import NamedTuple
from uuid import UUID

from comms.domain.decision import Facts, Verdict


class Waiting(NamedTuple):
    """A message in the queue. Times are aware; in order of due time, and of two alike that of their ids."""

    due_at: datetime
    id: UUID
    deadline: datetime
    max_late: timedelta


class Step(NamedTuple):
    """One judgement on one message, at `facts.now`."""

    id: UUID
    facts: Facts
    verdict: Verdict


Judging = Callable[[Waiting, datetime], tuple[Facts, Verdict]]
"""The judgement on a message at a moment. Where it says `send`, the message counts for those after it."""


def walk(waiting: Iterable[Waiting], begins: datetime, ends: datetime, judge: Judging) -> Iterator[Step]:
    """Every judgement in the order of time, from `begins` on, when the overdue go, up to and with `ends`."""
    queue = list(waiting)
    heapify(queue)
    while queue and queue[0].due_at <= ends:
        each = heappop(queue)
        facts, verdict = judge(each, max(each.due_at, begins))
        yield Step(each.id, facts, verdict)
        if verdict.until:
            heappush(queue, each._replace(due_at=verdict.until, deadline=verdict.until + each.max_late))
