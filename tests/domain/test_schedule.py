from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.errors import Refused
from comms.domain.schedule import check_bounds, read, round_up, show

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-12-01T09:00:00-05:00", "2026-12-01T14:00:00.000Z"),
        ("2026-12-01t14:00:00z", "2026-12-01T14:00:00.000Z"),
        ("2026-12-01T14:00:00.1Z", "2026-12-01T14:00:00.100Z"),
        ("2026-12-01T14:00:00.0001Z", "2026-12-01T14:00:00.001Z"),
        ("2026-12-01T14:00:00.999999999Z", "2026-12-01T14:00:01.000Z"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000Z"),
        ("2026-12-01T14:00:00-00:00", "2026-12-01T14:00:00.000Z"),
        ("2026-12-01T09:00:00-05:00[America/New_York]", "2026-12-01T14:00:00.000Z"),
        ("2026-12-01T14:00:00Z[America/New_York]", "2026-12-01T14:00:00.000Z"),
        ("2026-12-01T09:00:00-05:00[!America/New_York][u-ca=gregory]", "2026-12-01T14:00:00.000Z"),
        ("2026-12-01T14:00:00Z[u-ca=gregory]", "2026-12-01T14:00:00.000Z"),
        ("2027-03-14T01:59:59.9999-05:00[America/New_York]", "2027-03-14T07:00:00.000Z"),
        ("2027-01-01T05:29:60+05:30", "2027-01-01T00:00:00.000Z"),
        ("2026-12-01T14:00:00." + "0" * 60 + "1Z", "2026-12-01T14:00:00.001Z"),
    ],
)
def test_times_that_can_be_read(text: str, shown: str) -> None:
    assert show(read(text).instant) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-12-01",
        "2026-12-01T14:00:00",
        "2026-12-01 14:00:00Z",
        "2026-W49-2T14:00:00Z",
        "20261201T140000Z",
        "2026-12-01T14:00Z",
        "2026-13-01T14:00:00Z",
        "2026-02-30T14:00:00Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T14:60:00Z",
        "2026-12-01T14:00:61Z",
        "2026-12-01T14:00:00+99:00",
        "2026-12-01T14:00:00+05:60",
        "2026-12-01T14:00:00+0500",
        "٢٠٢٦-12-01T14:00:00Z",
        "2026-12-01T14:00:00Z\n",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-12-01T14:00:00Z[No/Such_Zone]",
        "2026-12-01T14:00:00Z[Factory]",
        "2026-12-01T14:00:00Z[posix/UTC]",
        "2026-12-01T14:00:60Z",
        "2026-12-01T14:00:00Z[!u-ca=gregory]",
        "2026-12-01T14:00:00Z[../../etc/passwd]",
        "2026-12-01T14:00:00Z[+01:00]",
        "2026-12-01T14:00:00Z[Europe/Paris][Europe/Berlin]",
        "2026-12-01T14:00:00.Z",
    ],
)
def test_times_that_can_not_be_read_are_refused_without_saying_them(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert (refused.value.status, refused.value.code) == (422, "validation_error")
    assert "scheduled_at" in refused.value.message
    assert not text or text not in refused.value.message.partition(", such as")[0]


def test_a_zone_promises_wall_clock_time() -> None:
    when = read("2026-12-01T14:00:00Z[America/New_York]")
    assert (when.zone, when.wall) == ("America/New_York", datetime(2026, 12, 1, 9))  # noqa: DTZ001 - a wall has no zone


def test_both_sides_of_a_fold_can_be_named() -> None:
    first = read("2026-11-01T01:30:00-04:00[America/New_York]")
    second = read("2026-11-01T01:30:00-05:00[America/New_York]")
    assert second.instant - first.instant == timedelta(hours=1)
    assert first.wall == second.wall


@pytest.mark.parametrize(
    ("instant", "code"),
    [
        (NOON - timedelta(hours=4, milliseconds=1), "scheduled_at_in_past"),
        (NOON + timedelta(days=730, milliseconds=1), "scheduled_at_too_far"),
    ],
)
def test_out_of_bounds(instant: datetime, code: str) -> None:
    with pytest.raises(Refused) as refused:
        check_bounds(read(show(instant)), NOON, 4 * 3600, 730)
    assert refused.value.code == code


@pytest.mark.parametrize("instant", [NOON - timedelta(hours=4), NOON, NOON + timedelta(days=730)])
def test_within_bounds(instant: datetime) -> None:
    check_bounds(read(show(instant)), NOON, 4 * 3600, 730)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_rounding_never_goes_back_and_never_a_millisecond_ahead(instant: datetime) -> None:
    assert timedelta() <= round_up(instant) - instant < timedelta(milliseconds=1)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_is_shown_can_be_read_back(instant: datetime) -> None:
    assert read(show(round_up(instant))).instant == round_up(instant)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read(text)
    except Refused as refused:
        code = refused.code
    else:
        code = "validation_error"
    assert code == "validation_error"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tomorrow", "from must be an RFC 3339 time with an offset"),
        ("2027-02-29T12:00:00Z", "from names a day or a time of day that does not exist."),
        ("2027-02-28T24:00:00Z", "from names a day or a time of day that does not exist."),
        ("2026-12-01T14:00:00Z[!x=y]", "from has a critical tag"),
        ("2026-12-01T14:00:00Z[UTC][Europe/Berlin]", "from names two time zones"),
        ("2026-12-01T14:00:00Z[+01:00]", "from must name a time zone"),
    ],
)
def test_each_refusal_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text, "from")
    assert refused.value.message.startswith(why)


@pytest.mark.parametrize(("seconds", "spoken"), [(14_400, "4 hours"), (60, "1 minute"), (90, "90 seconds")])
def test_the_past_is_spoken_of_in_the_units_of_people(seconds: int, spoken: str) -> None:
    with pytest.raises(Refused, match=f"more than {spoken} in the past"):
        check_bounds(read("2020-01-01T00:00:00Z"), NOON, seconds, 731)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T09:00:00-04:00[America/New_York]",
        "2027-03-14T02:30:00-05:00[America/New_York]",
        "2026-12-01T14:00:00+02:00[America/New_York]",
    ],
)
def test_an_offset_that_contradicts_its_zone_is_read_and_then_refused(text: str) -> None:
    """Read, since it was true once, perhaps: the ledger is asked before the rules of today."""
    with pytest.raises(Refused, match="contradicts the time zone"):
        check_bounds(read(text), NOON, 14_400, 731)
