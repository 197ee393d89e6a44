"""`comms serve --workers N`: several processes, one service."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from pathlib import Path
from uuid import uuid4

from tests.cli.service import Client, Prepared, Service, comms, letter, running, until
from tests.test_embedded_postgres import family


def siblings(service: Service) -> list[int]:
    """The further processes of the service."""
    return [
        pid
        for pid in family(service.process.pid)
        if b"comms.cli.siblings" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def workers(service: Service) -> int:
    told = comms(service.folder, "doctor", "--data-dir", str(service.data_dir)).stdout
    return next(int(line.split()[2]) for line in told.splitlines() if "workers:" in line)


def test_each_process_serves_and_works_and_a_dead_one_is_started_again(
    prepared: Prepared, tmp_path: Path
) -> None:
    prepared.put_into(tmp_path)
    with running(tmp_path, "serve", "--port", "0", "--workers", "3") as service:
        service.await_words("comms listens on ")
        client = Client(service.address, prepared.token)
        until(lambda: len(siblings(service)) == 2)
        until(lambda: workers(service) == 3)
        os.kill(siblings(service)[0], signal.SIGKILL)
        until(lambda: len(siblings(service)) == 2 and "process_died" in service.logged())
        for _ in range(30):
            assert client.send(letter(str(uuid4()))).body["status"] == "sent"
        both = siblings(service)
        service.terminate()
        assert service.status() == 0
        assert not any(Path(f"/proc/{pid}/cmdline").exists() for pid in both)


def two_ports() -> int:
    """The first of two that are free."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one, contextlib.suppress(OSError, OverflowError):
            port: int = one.getsockname()[1]
            with socket.create_server(("127.0.0.1", port + 1)):
                return port


def begun(port: int) -> str | None:
    """When the process began that shows its metrics there; None where none does yet."""
    try:
        told = str(Client(f"127.0.0.1:{port}", "").ask("GET", "/metrics").body)
    except OSError:
        return None
    return str(re.findall(r"^process_start_time_seconds (\S+)$", told, re.MULTILINE)[0])


def test_none_goes_on_alone(prepared: Prepared, tmp_path: Path) -> None:
    prepared.put_into(tmp_path)
    first = two_ports()
    with running(
        tmp_path, "serve", "--port", "0", "--workers", "2", COMMS_METRICS_PORT=str(first)
    ) as service:
        service.await_words("comms listens on ")
        (sibling,) = until(lambda: siblings(service))
        shown = {until(lambda port=port: begun(port)) for port in (first, first + 1)}  # type: ignore[misc]
        assert len(shown) == 2  # each tells of itself
        service.process.kill()
        until(lambda: not Path(f"/proc/{sibling}/cmdline").exists())
