"""Whose messages are claimed next where more are due than can go at once.

Brands share each claim by their weights, whatever each has waiting, and so they share what a provider with
limits takes. Within a brand half goes to what is overdue, the nearest deadline first, and half to what has
just become due: neither a herd nor the backlog of an outage keeps a single message waiting.

A lane is what waits of one template: its oldest has its nearest deadline, since all may be equally late.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

OVERDUE = timedelta(minutes=1)


class Lane(NamedTuple):
    """`due_at` and `deadline` are its oldest message's; `room` names whose room it takes (None: nobody's)."""

    template_id: UUID
    brand_id: str
    due_at: datetime
    deadline: datetime
    room: Hashable | None = None


class Portion(NamedTuple):
    """At most `most` messages of a template that became due from `since` on and before `until`."""

    template_id: UUID
    since: datetime
    until: datetime
    most: int


Key = TypeVar("Key", bound=Hashable)


def portions(
    lanes: Iterable[Lane],
    weights: Mapping[str, int],
    rooms: Mapping[Hashable, int],
    until: datetime,
    limit: int,
    turn: int,
) -> list[Portion]:
    """What to claim of `lanes`, all due before `until`: `limit` messages at most, and what `rooms` hold.

    `turn` counts claims: who comes first, where not everybody gets something, changes with it.
    """
    by_brand: dict[str, list[Lane]] = {}
    for lane in lanes:
        by_brand.setdefault(lane.brand_id, []).append(lane)
    order = _from(sorted(by_brand), turn)
    shares = split(limit, order, weights)
    left = {
        (brand_id, room): most
        for room, whole in rooms.items()
        for brand_id, most in split(whole, _in_room(order, by_brand, room), weights).items()
    }
    return [
        portion
        for brand_id, share in shares.items()
        for portion in _of_brand(by_brand[brand_id], share, left, until, turn)
    ]


def split(whole: int, order: Sequence[Key], weights: Mapping[Key, int]) -> dict[Key, int]:
    """`whole` by weight (1 unless said), at least one each while there is any; the first get the rest."""
    shares: dict[Key, int] = {}
    left, total = whole, sum(weights.get(each, 1) for each in order)
    for each in order[:whole]:
        shares[each] = min(left, max(1, whole * weights.get(each, 1) // total))
        left -= shares[each]
    for each in shares:
        if left > 0:
            shares[each] += 1
            left -= 1
    return {each: share for each, share in shares.items() if share}


def _from(order: list[str], turn: int) -> list[str]:
    start = turn % len(order) if order else 0
    return order[start:] + order[:start]


def _in_room(order: Iterable[str], by_brand: Mapping[str, list[Lane]], room: Hashable) -> list[str]:
    return [brand_id for brand_id in order if any(lane.room == room for lane in by_brand[brand_id])]


def _of_brand(
    lanes: list[Lane], share: int, left: dict[tuple[str, Hashable], int], until: datetime, turn: int
) -> list[Portion]:
    since = until - OVERDUE
    overdue = sorted((lane for lane in lanes if lane.due_at < since), key=lambda lane: lane.deadline)
    most = _half(share, turn)
    halves = {key: _half(whole, turn) for key, whole in left.items()}
    found = []
    for lane in overdue:
        taken = _take(lane, most, halves)
        _take(lane, taken, left)
        most -= taken
        found.append(Portion(lane.template_id, lane.due_at, since, taken))
    rest = share - sum(portion.most for portion in found)
    for lane, part in split(rest, lanes, {}).items():
        begin = max(since, lane.due_at)
        found.append(Portion(lane.template_id, begin, until, _take(lane, part, left)))
    return [portion for portion in found if portion.most]


def _half(whole: int, turn: int) -> int:
    """Of one, every other turn."""
    return (whole + turn % 2) // 2


def _take(lane: Lane, wanted: int, left: dict[tuple[str, Hashable], int]) -> int:
    if lane.room is None:
        return wanted
    key = (lane.brand_id, lane.room)
    taken = min(wanted, left.get(key, 0))
    left[key] = left.get(key, 0) - taken
    return taken
