"""`comms serve --workers N`: several processes, one service."""

from __future__ import annotations

import os
import signal
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


def test_none_goes_on_alone(prepared: Prepared, tmp_path: Path) -> None:
    prepared.put_into(tmp_path)
    with running(tmp_path, "serve", "--port", "0", "--workers", "2") as service:
        service.await_words("comms listens on ")
        (sibling,) = until(lambda: siblings(service))
        service.process.kill()
        until(lambda: not Path(f"/proc/{sibling}/cmdline").exists())
