"""`comms serve --workers N`: more processes like the first, on its socket and its database.

Each is an API and a worker. They hear of the first one's end by their standard input, which closes
then, by whatever cause: none goes on alone.

    python -m comms.cli.siblings FD      # FD: the listening socket, inherited
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process

import structlog

from comms.settings import Settings

log = structlog.get_logger()

_BACK_OFF = 1.0


async def keep(count: int, listener: socket.socket, settings: Settings, stopped: asyncio.Event) -> None:
    """Run so many siblings until `stopped`; one that dies is started again."""
    await asyncio.gather(*(_keep_one(n, listener, settings, stopped) for n in range(1, count + 1)))


async def _keep_one(n: int, listener: socket.socket, settings: Settings, stopped: asyncio.Event) -> None:
    stopping = asyncio.create_task(stopped.wait())
    while not stopped.is_set():
        process = await _start(n, listener, settings)
        ended = asyncio.create_task(process.wait())
        await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not stopped.is_set():
            log.error("process_died", status=process.returncode, advice="it is started again")
            await asyncio.wait([stopping], timeout=_BACK_OFF)
            continue
        assert process.stdin is not None  # noqa: S101 - asked for
        process.stdin.close()
        await ended


async def _start(n: int, listener: socket.socket, settings: Settings) -> Process:
    fd, given = listener.fileno(), {"COMMS_DATA_DIR": str(settings.data_dir)}
    if settings.metrics_port:  # each its own: the shared address would show now this one's, now that one's
        given["COMMS_METRICS_PORT"] = str(settings.metrics_port + n)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "comms.cli.siblings",
        str(fd),
        stdin=PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        pass_fds=[fd],
        env=os.environ | given,
    )


async def first_ends(stopped: asyncio.Event) -> None:
    """In a sibling: set `stopped` once the first process is gone, or says that it goes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    with contextlib.suppress(ConnectionError):
        await reader.read()
    stopped.set()


if __name__ == "__main__":
    from comms.cli.running import run_sibling
    from comms.cli.shared import in_force

    run_sibling(in_force(), socket.socket(fileno=int(sys.argv[1])))
