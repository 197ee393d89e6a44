from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from comms import embedded_postgres
from comms.embedded_postgres import AlreadyRunning, CannotStart, EmbeddedPostgres, running_dsn
from comms.unprivileged import Account

SUPERVISOR = """
import sys
from pathlib import Path
from comms.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def started(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_dir)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def supervisor(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that supervises a server, as `comms serve` does."""
    command = [sys.executable, "-c", SUPERVISOR, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def store_one_row(dsn: str) -> None:
    await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def server_log(data_dir: Path) -> str:
    return (data_dir / "postgres.log").read_text()


def owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def kill_all(pids: list[int]) -> None:
    """Kill them, and return once each has died."""
    handles = [os.pidfd_open(pid) for pid in pids]
    for handle in handles:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles:
        select.select([handle], [], [])
        os.close(handle)


@pytest.mark.anyio
async def test_starts_from_nothing_and_keeps_its_data(tmp_path: Path) -> None:
    data_dir = tmp_path / "not" / "there yet"
    with started(data_dir) as server:
        assert server.is_alive()
        await store_one_row(server.dsn)
    assert not server.is_alive()
    with started(data_dir) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


@pytest.mark.anyio
async def test_a_commit_is_durable_and_no_value_is_logged(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await ask(server.dsn, f"SHOW {name}") == "on"
        with pytest.raises(asyncpg.DataError):
            await ask(server.dsn, "SELECT 'ann@example.org'::int")
    assert "ann@example.org" not in server_log(tmp_path)


@pytest.mark.anyio
async def test_data_survives_the_death_of_every_server_process(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        await store_one_row(server.dsn)
        kill_all(family(postmaster(tmp_path)))
    with started(tmp_path) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


@pytest.mark.anyio
async def test_orphaned_backends_are_outwaited(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        await store_one_row(server.dsn)
        os.kill(postmaster(tmp_path), signal.SIGKILL)
    with started(tmp_path) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


@pytest.mark.anyio
async def test_a_pid_that_went_to_another_program_does_not_stop_the_start(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        await store_one_row(server.dsn)
        pid_file = tmp_path / "postgres" / "postmaster.pid"
        old, lines = str(postmaster(tmp_path)), pid_file.read_text()
        kill_all(family(int(old)))
    pid_file.write_text(lines.replace(old, str(os.getpid()), 1))
    with started(tmp_path) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


@pytest.mark.anyio
async def test_everything_killed_at_once(tmp_path: Path) -> None:
    with supervisor(tmp_path) as process:
        await store_one_row(running_dsn(tmp_path) or "")
        kill_all([process.pid, *family(postmaster(tmp_path))])
    with started(tmp_path) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


def test_the_server_goes_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    with supervisor(tmp_path) as process:
        process.kill()
        process.wait()
    with started(tmp_path):  # takes the lock that every process of the old server held
        pass
    assert "received fast shutdown request" in server_log(tmp_path)


def test_a_second_start_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with supervisor(tmp_path):
        with pytest.raises(AlreadyRunning) as refused:
            EmbeddedPostgres(tmp_path).start()
        assert str(refused.value) == f"Another comms already runs on {tmp_path}."
        assert running_dsn(tmp_path)


def test_another_process_finds_the_running_server(tmp_path: Path) -> None:
    assert running_dsn(tmp_path) is None
    with supervisor(tmp_path) as process:
        assert running_dsn(tmp_path) == EmbeddedPostgres(tmp_path).dsn
        kill_all([process.pid, postmaster(tmp_path)])
        process.wait()
        assert running_dsn(tmp_path) is None  # the pid file still says ready


def test_ctrl_c_does_not_reach_the_server(tmp_path: Path) -> None:
    with started(tmp_path):
        assert os.getsid(postmaster(tmp_path)) != os.getsid(0)


@pytest.mark.anyio
async def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    with started(tmp_path / ("x" * 90)) as server:
        assert await ask(server.dsn, "SELECT 1") == 1


def test_sockets_are_for_the_owner_alone(tmp_path: Path) -> None:
    with started(tmp_path):
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with started(tmp_path):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("9.1\n")
    server = EmbeddedPostgres(tmp_path)
    with pytest.raises(CannotStart, match="PostgreSQL stopped at once: "):
        server.start()
    assert not server.is_alive()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that any account may pass through; pytest's own are closed to all but us."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.anyio
async def test_root_where_user_namespaces_are_closed(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(open_dir / "data") as server:
        await store_one_row(server.dsn)
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(embedded_postgres, "account", lambda: Account("setuid", nobody.pw_uid, nobody.pw_gid))
    with started(open_dir / "data") as server:
        assert owner(postmaster(open_dir / "data")) == nobody.pw_uid
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42
