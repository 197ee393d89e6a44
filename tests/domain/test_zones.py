from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from comms.domain import zones

NEW_YORK = "America/New_York"


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("wall", "near", "instant"),
    [
        ("2026-12-01T09:00", utc(2026, 12, 1), utc(2026, 12, 1, 14)),
        ("2026-11-01T01:30", utc(2026, 11, 1, 5, 30), utc(2026, 11, 1, 5, 30)),
        ("2026-11-01T01:30", utc(2026, 11, 1, 6, 30), utc(2026, 11, 1, 6, 30)),
        ("2027-03-14T02:30", utc(2027, 3, 14), utc(2027, 3, 14, 7, 30)),
    ],
)
def test_when_the_clocks_show_it(wall: str, near: datetime, instant: datetime) -> None:
    assert zones.instant(datetime.fromisoformat(wall), NEW_YORK, near) == instant


def test_every_zone_brings_each_instant_back_around_each_of_its_changes() -> None:
    """Every half-hour around each change of two years, in every zone: what was promised is what was meant."""
    start, half_hour = utc(2027, 1, 1), timedelta(minutes=30)
    for name in sorted(zones.names()):
        rules = zones.zone(name)
        days = [start + timedelta(days=day) for day in range(731)]
        for before, after in itertools.pairwise(days):
            if before.astimezone(rules).utcoffset() != after.astimezone(rules).utcoffset():
                for step in range(49):
                    instant = before + step * half_hour
                    wall = instant.astimezone(rules).replace(tzinfo=None)
                    assert zones.instant(wall, name, near=instant) == instant, (name, instant)


def test_names_of_the_databases_own_use_are_no_zones() -> None:
    for name in ("Factory", "localtime", "posix/UTC", "../etc/passwd", ""):
        with pytest.raises(KeyError):
            zones.zone(name)
