"""Quiet hours by the clock on the wall, over every change of every zone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from comms.domain import quiet, zones
from comms.domain.brand import QuietHours

NIGHT = QuietHours("21:00", "08:00")
SIESTA = QuietHours("13:00", "15:30")
MINUTE = timedelta(minutes=1)


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> datetime:
    wall = datetime.fromisoformat(f"{text}:00").replace(tzinfo=zones.zone(zone), fold=fold)
    return wall.astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        (NIGHT, "2027-01-10T20:59", None),
        (NIGHT, "2027-01-10T21:00", "2027-01-11T08:00"),
        (NIGHT, "2027-01-10T23:59", "2027-01-11T08:00"),
        (NIGHT, "2027-01-11T00:00", "2027-01-11T08:00"),
        (NIGHT, "2027-01-11T07:59", "2027-01-11T08:00"),
        (NIGHT, "2027-01-11T08:00", None),
        (SIESTA, "2027-01-10T12:59", None),
        (SIESTA, "2027-01-10T13:00", "2027-01-10T15:30"),
        (SIESTA, "2027-01-10T15:30", None),
        (SIESTA, "2027-01-10T03:00", None),
        (QuietHours("00:00", "06:00"), "2027-01-10T00:00", "2027-01-10T06:00"),
        (QuietHours("22:00", "00:00"), "2027-01-10T23:59", "2027-01-11T00:00"),
        # the night in which clocks are put forward is an hour shorter, and its end is the same on the wall
        (NIGHT, "2027-03-27T22:00", "2027-03-28T08:00"),
        (NIGHT, "2027-10-30T22:00", "2027-10-31T08:00"),
        # an end that the clocks jump over comes when they jump: from 2:00 to 3:00
        (QuietHours("22:00", "02:30"), "2027-03-28T01:59", "2027-03-28T03:00"),
        (QuietHours("02:15", "02:45"), "2027-03-28T03:00", None),
    ],
)
def test_they_end_on_the_wall(hours: QuietHours, now: str, until: str | None) -> None:
    assert quiet.ends(hours, "Europe/Berlin", at(now)) == (at(until) if until else None)


def test_an_hour_that_comes_twice_is_quiet_as_often_as_the_clock_shows_it() -> None:
    hours = QuietHours("22:00", "02:30")
    first, second = at("2027-10-31T02:30"), at("2027-10-31T02:30", fold=1)
    assert quiet.ends(hours, "Europe/Berlin", at("2027-10-31T02:10")) == first
    assert quiet.ends(hours, "Europe/Berlin", first) is None
    assert quiet.ends(hours, "Europe/Berlin", at("2027-10-31T02:10", fold=1)) == second
    starts_in_it = QuietHours("02:30", "08:00")
    back = at("2027-10-31T02:00", fold=1)
    assert quiet.ends(starts_in_it, "Europe/Berlin", at("2027-10-31T02:40")) == back


def test_lateness_does_not_count_from_a_quiet_hour() -> None:
    late = timedelta(minutes=5)
    at_night = quiet.excused(at("2027-01-10T22:05"), late, NIGHT, "Europe/Berlin")
    assert at_night == at("2027-01-11T08:05")
    by_day = quiet.excused(at("2027-01-10T21:04"), late, NIGHT, "Europe/Berlin")
    assert by_day == at("2027-01-10T21:04")


def test_a_window_that_ends_when_it_begins_is_none() -> None:
    with pytest.raises(ValueError, match="must differ"):
        QuietHours("08:00", "08:00")


def test_they_end_at_the_first_moment_that_is_not_quiet_around_each_change_of_every_zone() -> None:
    """Two years: each change of the clocks, with windows that begin and end before, in and after it."""
    edges = 0
    for changes, zone in _distinct(sorted(zones.names())):
        for change in changes:
            edges += 1
            for hours, now in itertools.product(_windows(change, zone), _moments(change)):
                _check(hours, zone, now)
    assert edges > 100


def _check(hours: QuietHours, zone: str, now: datetime) -> None:
    until = quiet.ends(hours, zone, now)
    assert (until is not None) == _shows_quiet(hours, zone, now), (zone, now)
    if until is None:
        return
    assert until > now
    assert not _shows_quiet(hours, zone, until), (zone, hours, now, until)
    moment = now
    while moment < until:
        assert _shows_quiet(hours, zone, moment), (zone, hours, now, moment)
        moment += 15 * MINUTE
    assert _shows_quiet(hours, zone, until - timedelta(seconds=1)), (zone, hours, now, until)


def _shows_quiet(hours: QuietHours, zone: str, instant: datetime) -> bool:
    """As somebody says who looks at the clock."""
    shown = instant.astimezone(zones.zone(zone)).strftime("%H:%M")
    if hours.start < hours.end:
        return hours.start <= shown < hours.end
    return shown >= hours.start or shown < hours.end


def _moments(change: datetime) -> Iterator[datetime]:
    return (change + step * MINUTE for step in (-700, -95, -61, -30, -1, 0, 1, 30, 61, 95))


def _windows(change: datetime, zone: str) -> Iterator[QuietHours]:
    """Their ends lie around what the clock shows before and after the change."""
    before = (change - MINUTE).astimezone(zones.zone(zone))
    for begins, ends in ((-600, -30), (-600, 31), (-600, 90), (-20, 600), (31, 90)):
        start, end = ((before + shift * MINUTE).strftime("%H:%M") for shift in (begins, ends))
        yield QuietHours(start, end)


def _distinct(names: list[str]) -> list[tuple[tuple[datetime, ...], str]]:
    """The changes of each zone that has any; once where several zones do the same at the same time."""
    found: dict[object, tuple[tuple[datetime, ...], str]] = {}
    for name in names:
        changes = tuple(_changes(name))
        offsets = tuple(_offset(name, each) for each in changes)
        found.setdefault((changes, offsets), (changes, name))
    return [each for each in found.values() if each[0]]


def _changes(name: str) -> Iterator[datetime]:
    start = datetime(2027, 1, 1, tzinfo=UTC)
    for before, after in itertools.pairwise(start + timedelta(days=day) for day in range(731)):
        if _offset(name, before) != _offset(name, after):
            yield _bisected(name, before, after)


@cache
def _offset(name: str, instant: datetime) -> timedelta | None:
    return instant.astimezone(zones.zone(name)).utcoffset()


def _bisected(name: str, before: datetime, after: datetime) -> datetime:
    while after - before > MINUTE:
        middle = (before + (after - before) / 2).replace(second=0, microsecond=0)
        before, after = (
            (middle, after) if _offset(name, middle) == _offset(name, before) else (before, middle)
        )
    return after
