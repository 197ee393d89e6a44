from __future__ import annotations

import json
import logging

import pytest
import structlog

from comms import telemetry


def test_lines_are_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up("info")
    structlog.get_logger().debug("hidden")
    structlog.get_logger().info("claimed", count=3)
    logging.getLogger("library").warning("said %s", "so")
    written = capsys.readouterr()
    first, second = map(json.loads, written.err.splitlines())
    assert (first["event"], first["level"], first["count"]) == ("claimed", "info", 3)
    assert (second["event"], second["level"]) == ("said so", "warning")
    assert written.out == ""


def test_a_traceback_shows_no_local_variable(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up("info")
    recipient = "+" + "4670000"
    try:
        int(recipient[:1])
    except ValueError:
        structlog.get_logger().exception("failed")
    assert recipient not in capsys.readouterr().err
