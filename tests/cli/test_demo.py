"""`comms demo`, as `make demo` runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.service import RECIPIENTS, Client, Prepared, Service, comms, printed


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The demo that stays, from nothing."""
    service = Service(tmp_path_factory.mktemp("demo"), "demo", "--port", "0")
    yield service
    service.end()


def test_once_ends_well_after_a_message_a_channel(demo: Service, prepared: Prepared, tmp_path: Path) -> None:
    assert demo.process.poll() is None  # both at a time: each waits for its messages' times
    prepared.put_into(tmp_path)
    assert_each_channel_ends_as_sent(printed(comms(tmp_path, "demo", "--once", "--port", "0")))


def test_it_shows_a_message_a_channel_going_out_and_then_goes_on(demo: Service) -> None:
    demo.await_words("Ctrl-C ends it.")
    assert_each_channel_ends_as_sent(demo.said())
    token = shown(demo, "Token")
    answer = Client(demo.address, token).ask("GET", "/v1/sandbox/outbox?brand_id=demo")
    assert {kept["channel"] for kept in answer.body["data"]} == {"email", "sms", "push"}
    assert shown(demo, "Address") == f"http://{demo.address}"


def test_doctor_beside_it_asks_for_nothing(demo: Service) -> None:
    demo.await_words("Ctrl-C ends it.")
    client = Client(demo.address, shown(demo, "Token"))
    template = {"brand_id": "demo", "key": "tips", "channel": "email", "category": "tips"}
    made = client.ask("POST", "/v1/messaging/templates", template).body["id"]
    version = {"subject": "Tips", "body": "Drink water. {{ unsubscribe_url }}"}
    assert client.ask("POST", f"/v1/messaging/templates/{made}/versions", version).status == 201
    told = printed(comms(demo.folder, "doctor"))
    assert "one-click unsubscribe: for trying out, on this machine" in told
    assert "->" not in told


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_the_line_that_it_prints_schedules_a_fifth(demo: Service) -> None:
    demo.await_words("Ctrl-C ends it.")
    line = demo.said().partition("curl ")[2].partition("\n\n")[0]
    made = subprocess.run(["sh", "-c", f"curl {line}"], capture_output=True, text=True, check=True)
    assert '"status":"scheduled"' in made.stdout


def test_ctrl_c_ends_it_well(demo: Service) -> None:
    demo.await_words("Ctrl-C ends it.")
    demo.interrupt()
    assert demo.status() == 0
    assert "Traceback" not in demo.logged()


def assert_each_channel_ends_as_sent(said: str) -> None:
    ends = {line.split()[0]: line.split()[3] for line in said.splitlines() if " due " in line}
    assert ends == dict.fromkeys(RECIPIENTS, "sent")


def shown(demo: Service, name: str) -> str:
    found = re.search(rf"^{name} +(\S+)$", demo.said(), re.MULTILINE)
    assert found
    return found[1]
