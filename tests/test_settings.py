from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from comms import settings
from comms.clock import Clock
from comms.settings import BadSetting, Settings
from comms.testing import FakeClock

NO_FILE = Path("/nonexistent/.env")


def load(**variables: str) -> Settings:
    return settings.load(variables, NO_FILE)


def test_defaults() -> None:
    assert load() == Settings()
    assert load().data_dir == Path("comms-data")


def test_variables_are_read_as_their_type() -> None:
    read = load(COMMS_PORT="9000", COMMS_LEASE_SECONDS="7.5", COMMS_DATA_DIR="/var/lib/comms", PATH="/bin")
    assert (read.port, read.lease_seconds, read.data_dir) == (9000, 7.5, Path("/var/lib/comms"))


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\n\nexport COMMS_HOST='0.0.0.0'\nCOMMS_PORT = 1\nOTHER=x\nCOMMS_MASTER_KEY=a=b\n")
    read = settings.load({"COMMS_PORT": "2"}, file)
    assert (read.host, read.port, read.master_key) == ("0.0.0.0", 2, "a=b")


def test_an_empty_variable_is_unset() -> None:
    assert load(COMMS_DATABASE_URL="").database_url is None


def test_digits_stay_text_where_text_is_meant() -> None:
    assert load(COMMS_MASTER_KEY="1234").master_key == "1234"
    assert load(COMMS_MASTER_KEY="null").master_key == "null"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "COMMS_DATABSE_URL",
            "secret",
            "COMMS_DATABSE_URL is no setting of comms; did you mean COMMS_DATABASE_URL?",
        ),
        ("COMMS_PORT", "secret", "COMMS_PORT must be a whole number."),
        ("COMMS_PORT", "70000", "COMMS_PORT must be at most 65535."),
        ("COMMS_METRICS_PORT", "-1", "COMMS_METRICS_PORT must be at least 0."),
        ("COMMS_LOG_LEVEL", "secret", "COMMS_LOG_LEVEL must be one of debug, info, warning, error."),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(variable: str, value: str, said: str) -> None:
    with pytest.raises(BadSetting) as refused:
        load(**{variable: value})
    assert str(refused.value) == said


@pytest.mark.parametrize(
    "url",
    ["https://comms.example.org", "https://example.org/comms/", "http://127.0.0.1:8080", "https://[::1]:1"],
)
def test_addresses_that_messages_can_be_built_on(url: str) -> None:
    assert load(COMMS_PUBLIC_URL=url).public_url == url


@pytest.mark.parametrize(
    "url",
    ["comms.example.org", "ftp://a", "https://", "https:///u", "https://a:0", "https://a:b", "https://a?b", "https://a/#b",
     "https://a/ b", "https://u@a", "https://a/>"],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(BadSetting, match=r"^COMMS_PUBLIC_URL is no address to build on"):
        load(COMMS_PUBLIC_URL=url)


def test_a_line_that_assigns_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("COMMS_PORT=1\nsecret\n")
    with pytest.raises(BadSetting, match=r"line 2: write NAME=value\.$"):
        settings.load({}, file)


def test_every_setting_is_described() -> None:
    described = settings.describe(Settings())
    assert ("COMMS_PORT", "int", "8080", "port to listen on; 0 picks a free one") in described
    assert (
        "COMMS_DATA_DIR",
        "path",
        "comms-data",
        "where the embedded PostgreSQL and the master key live",
    ) in described
    assert all(meaning for *_, meaning in described)


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(load(COMMS_MASTER_KEY="secret"))


def test_the_clock_of_a_test_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    before, ticks = clock.now(), clock.monotonic()
    clock.advance(90)
    assert clock.now() - before == timedelta(seconds=90)
    assert clock.monotonic() - ticks == 90
    assert clock.sql_now() == clock.now()


def test_the_machines_clock_is_aware_and_leaves_sql_to_the_database() -> None:
    assert Clock().now().utcoffset() == timedelta(0)
    assert Clock().sql_now() is None
