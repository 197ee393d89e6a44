"""Quiet hours: when the clock on somebody's wall says that nothing should come now.

An instant is quiet when the clock there shows a time from `start` up to, but not including, `end`;
a window may cross midnight. They end at the first instant at which it shows another: where the
clocks are put forward over the end, that is when they are put; where they are put back over it, the
hour that comes twice is quiet as often as the clock says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from comms.domain import zones
from comms.domain.brand import QuietHours

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Zone:
    """Whose clock counts: `id` is the person's row, or the brand where the person's zone is not known."""

    name: str
    id: str
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """What the clock says at a moment: `local`. `until` is when quiet hours end; None: they are not on."""

    start: str
    end: str
    zone: Zone
    local: str
    until: datetime | None


def look(hours: QuietHours, zone: Zone, now: datetime) -> Quiet:
    """The clock in `zone` at `now` (aware)."""
    local = now.astimezone(zones.zone(zone.name)).replace(tzinfo=None).isoformat(timespec="seconds")
    return Quiet(hours.start, hours.end, zone, local, ends(hours, zone.name, now))


def ends(hours: QuietHours, zone: str, now: datetime) -> datetime | None:
    """The first instant from `now` on that is not quiet, or None where `now` is none."""
    rules, start, end = zones.zone(zone), _of_day(hours.start), _of_day(hours.end)
    at = now
    while (left := _left(start, end, at.astimezone(rules))) is not None:
        at = _later(at, left, rules)
    return None if at is now else at


def excused(deadline: datetime, max_late: timedelta, hours: QuietHours, zone: str) -> datetime:
    """Lateness counts from the moment at which the message could go: not from one in quiet hours."""
    opened = ends(hours, zone, deadline - max_late)
    return opened + max_late if opened else deadline


def _of_day(text: str) -> timedelta:
    return timedelta(hours=int(text[:2]), minutes=int(text[3:]))


def _left(start: timedelta, end: timedelta, wall: datetime) -> timedelta | None:
    """How far the clock has to run to the end; None where it shows no quiet hour."""
    shown = timedelta(0, wall.hour * 3600 + wall.minute * 60 + wall.second, wall.microsecond)
    is_quiet = start <= shown < end if start < end else shown >= start or shown < end
    return (end - shown) % _DAY if is_quiet else None


def _later(at: datetime, by: timedelta, rules: ZoneInfo) -> datetime:
    """When `by` has passed, or when the clocks there are changed before that."""
    offset, later = at.astimezone(rules).utcoffset(), at + by
    if later.astimezone(rules).utcoffset() == offset:
        return later
    before, after = at.replace(microsecond=0), later
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(rules).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
