"""When a message goes: reading `scheduled_at`, its bounds, and how long it is worth sending.

`scheduled_at` is RFC 3339 with an offset, or RFC 9557: the same with a time zone in brackets,
which promises that wall-clock time. `datetime.fromisoformat` is not used to judge it: it takes
week dates, naive times and a blank for the T, and refuses `:60`, which RFC 3339 allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from comms.domain import zones
from comms.domain.errors import Refused, invalid

DEFAULT_MAX_LATE = 4 * 3600
"""Seconds that a message may be late before it expires, unless its template says otherwise."""

_RFC3339 = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,200}))?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})"
    r"(?P<tags>(?:\[!?[^\[\]]{1,64}\])*)"
)
_TAG = re.compile(r"\[(!?)([^\[\]]+)\]")
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class When:
    """An instant in UTC, whole milliseconds; with its zone and wall-clock time where those were promised."""

    instant: datetime
    zone: str | None = None
    wall: datetime | None = None
    is_true: bool = True
    """Its offset was the zone's; a zone's rules may have changed since it was first asked for."""


def read(text: str, member: str = "scheduled_at") -> When:
    """The instant that `text` names, rounded up to the millisecond; else 422 `validation_error`."""
    try:
        return _read(text)
    except _Unreadable as why:
        raise invalid(f"{member} {why}.") from None
    except (ValueError, OverflowError):
        raise invalid(f"{member} names a day or a time of day that does not exist.") from None


class _Unreadable(Exception):
    """What is wrong with a time, as the end of a sentence that begins with its member."""


def _read(text: str) -> When:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise _Unreadable("must be an RFC 3339 time with an offset, such as 2026-12-01T09:00:00-05:00")
    local, offset = _local_time(found), _offset(found["offset"])
    instant = (local - offset).replace(tzinfo=UTC)
    if found["second"] == "60" and (instant.hour, instant.minute) != (23, 59):
        raise ValueError
    zone = _zone(found["tags"])
    exact = instant + _rounded_up(found)
    if zone is None:
        return When(exact)
    is_true = found["offset"] in "Zz" or instant.astimezone(zone).replace(tzinfo=None) == local
    return When(exact, zone.key, exact.astimezone(zone).replace(tzinfo=None), is_true)


def check_bounds(when: When, now: datetime, max_late: int, horizon_days: int) -> None:
    """Refuse what is more than `max_late` seconds ago, more than `horizon_days` ahead, or untrue."""
    if not when.is_true:
        raise invalid(
            "scheduled_at has an offset that contradicts the time zone in brackets; mend one of them."
        )
    if when.instant < now - timedelta(seconds=max_late):
        raise Refused(
            422,
            "scheduled_at_in_past",
            f"scheduled_at lies more than {_spoken(max_late)} in the past; use a later time.",
        )
    if when.instant > now + timedelta(days=horizon_days):
        raise Refused(
            422,
            "scheduled_at_too_far",
            f"scheduled_at lies more than {horizon_days} days ahead, which is the limit here.",
        )


def show(instant: datetime) -> str:
    """`2026-12-01T14:00:00.000Z`: the way every answer shows a time."""
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def round_up(instant: datetime) -> datetime:
    """The first whole millisecond that is not before `instant`."""
    excess = instant.microsecond % 1000
    return instant if not excess else instant + timedelta(microseconds=1000 - excess)


def _spoken(seconds: int) -> str:
    """14400 is `4 hours`."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds > size else ''}"
    return f"{seconds} seconds"


def _local_time(found: re.Match[str]) -> datetime:
    """Whole seconds; a leap second (RFC 3339, section 5.6) is still 59, and rounded up like a fraction."""
    second = min(int(found["second"]), 59) if found["second"] == "60" else int(found["second"])
    return datetime.fromisoformat(f"{found['date']}T{found['hour']}:{found['minute']}:{second:02d}")


def _rounded_up(found: re.Match[str]) -> timedelta:
    """What is beyond the whole second, in milliseconds that are not before it."""
    if found["second"] == "60":
        return timedelta(seconds=1)
    fraction = (found["fraction"] or "").ljust(3, "0")
    return (int(fraction[:3]) + (fraction[3:].strip("0") != "")) * _MILLISECOND


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[4:])
    if hours > 23 or minutes > 59:
        raise ValueError
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


def _zone(tags: str) -> ZoneInfo | None:
    """The zone tag, which comes first (RFC 9557, section 4.1); others count only where critical."""
    zone = None
    for position, (critical, tag) in enumerate(_TAG.findall(tags)):
        if "=" not in tag and position == 0:
            zone = _load_zone(tag)
        elif critical:
            raise _Unreadable("has a critical tag (!) that is not understood here; leave it out")
        elif "=" not in tag:
            raise _Unreadable("names two time zones; name one")
    return zone


def _load_zone(name: str) -> ZoneInfo:
    if re.fullmatch(r"[+-][0-9]{2}:[0-9]{2}", name):
        raise _Unreadable("must name a time zone in the brackets, such as [America/New_York], not an offset")
    try:
        return zones.zone(name)
    except KeyError:
        raise _Unreadable("has a time zone in brackets that is not in the IANA database") from None
