"""`serve`, `api` and `worker`: what runs until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import click
import msgspec
import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from comms import otel, wiring
from comms.actions.house import House
from comms.cli import siblings
from comms.cli.shared import stop
from comms.clock import Clock
from comms.console.app import console
from comms.dispatch.worker import Worker
from comms.embedded_postgres import EmbeddedPostgres
from comms.http.app import application, observatory
from comms.http.protocol import KEEP_ALIVE_SECONDS, Protocol
from comms.settings import Settings

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
_BACKLOG = 2048
_LOOPBACK = "127.0.0.1"
_LAST_SECONDS = 1  # for requests that outlast the draining

Meanwhile = Callable[[House, str], Awaitable[bool]]
"""What runs beside the service, given its address; True: stop when it is done."""


class _Server(uvicorn.Server):
    """Leaves the signals to us: the worker must hear them too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(
    settings: Settings, *, api: bool, worker: bool, processes: int = 1, meanwhile: Meanwhile | None = None
) -> None:
    """Run the parts until SIGTERM or Ctrl-C, then let what is in flight finish; in so many `processes`."""
    _leave_no_dump()
    _tame_garbage_collection()
    listener = _listen(settings.host, settings.port) if api else None
    if listener and meanwhile and not settings.public_url:  # a demonstration's links are followed here
        settings = msgspec.structs.replace(settings, public_url=_address(listener))
    figures = _figures(settings) if not api or processes > 1 else None
    traces = otel.traces()
    key = wiring.master_key(settings)
    with wiring.database(settings, share=not (api and worker)) as found:

        async def main() -> None:
            await wiring.bring_up_to_date(found.dsn)
            async with (
                wiring.house(found.dsn, settings, key, Clock(), traces) as house,
                _parts(house, found.dsn, listener, figures, worker=worker) as (parts, stopped),
            ):
                if found.server:
                    parts.create_task(_keep_alive(found.server, stopped))
                if listener and processes > 1:
                    parts.create_task(siblings.keep(processes - 1, listener, settings, stopped))
                if listener and meanwhile:
                    parts.create_task(_beside(meanwhile, house, _address(listener), stopped))
                if figures:
                    click.echo(f"comms shows its metrics on {_address(figures)}/metrics")
                click.echo(f"comms listens on {_address(listener)}" if listener else "comms worker runs")

        uvloop.run(main())


def run_sibling(settings: Settings, listener: socket.socket) -> None:
    """One more API and worker on a socket and a database that another process keeps, until that one ends."""
    _leave_no_dump()
    _tame_garbage_collection()
    figures, key, traces = _figures(settings), wiring.master_key(settings), otel.traces()

    async def main(dsn: str) -> None:
        async with (
            wiring.house(dsn, settings, key, Clock(), traces) as house,
            _parts(house, dsn, listener, figures, worker=True) as (parts, stopped),
        ):
            parts.create_task(siblings.first_ends(stopped))

    with wiring.database(settings) as found:
        uvloop.run(main(found.dsn))


def _leave_no_dump() -> None:
    """What is sealed on disk is open in memory: a crash must not write it there. PostgreSQL inherits it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tame_garbage_collection() -> None:
    """What is imported stays: to look through it again and again cost a fifth of an accept."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@contextlib.asynccontextmanager
async def _parts(
    house: House, dsn: str, listener: socket.socket | None, figures: socket.socket | None, *, worker: bool
) -> AsyncIterator[tuple[asyncio.TaskGroup, asyncio.Event]]:
    """Worker and API at work, with room for more beside them; left when all have ended."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with asyncio.TaskGroup() as parts:
        work = [parts.create_task(_work(house, dsn, stopped))] if worker else []
        if figures and work:
            _show_metrics(parts, house, figures, work[0])
        if listener:
            pages = console(house)
            beside = {"/console": pages, "/console/": pages, "/console/{page}": pages}
            server = _server(application(house, beside))
            parts.create_task(server.serve([listener]))
            parts.create_task(_end(server, house, stopped, work))
        yield parts, stopped


async def _work(house: House, dsn: str, stopped: asyncio.Event) -> None:
    async with wiring.tools(house) as tools:
        await Worker(house, tools, remembers_in=house.settings.data_dir).run(stopped, dsn)


def _show_metrics(
    parts: asyncio.TaskGroup, house: House, listener: socket.socket, work: asyncio.Task[None]
) -> None:
    """Until the work has ended, not only until it is told to: how a worker drains is seen, too."""
    server = _server(observatory(house))
    parts.create_task(server.serve([listener]))
    work.add_done_callback(lambda _: setattr(server, "should_exit", True))


async def _keep_alive(server: EmbeddedPostgres, stopped: asyncio.Event) -> None:
    """Start the embedded server again where it died; meanwhile requests are answered 503.

    In a thread of its own, which stays: the server ends with the thread that started it.
    """
    thread, loop = ThreadPoolExecutor(1, "postgres"), asyncio.get_running_loop()
    stopping = asyncio.create_task(stopped.wait())
    while not stopped.is_set():
        await asyncio.wait([stopping], timeout=_LOOK_SECONDS)
        if not stopped.is_set() and not server.is_alive():
            log.error("postgres_died", advice="it is started again; see postgres.log in the data directory")
            await loop.run_in_executor(thread, server.restart)


async def _beside(meanwhile: Meanwhile, house: House, address: str, stopped: asyncio.Event) -> None:
    if await meanwhile(house, address):
        stopped.set()


def _figures(settings: Settings) -> socket.socket | None:
    """Where a process shows its own metrics that has no address of its own for requests."""
    return None if settings.metrics_port is None else _listen(_LOOPBACK, settings.metrics_port)


def _listen(host: str, port: int) -> socket.socket:
    """The socket, bound before anything else starts: a port that is taken costs nothing but a sentence."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        stop(f"{host}, port {port}: {why}.")


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _server(shown: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            shown,
            http=Protocol,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )
    )


async def _end(server: _Server, house: House, stopped: asyncio.Event, work: list[asyncio.Task[None]]) -> None:
    """What comes while the process ends is answered 503, until what was under way has ended."""
    await stopped.wait()
    house.draining.set()
    if under_way := [*server.server_state.tasks, *work]:
        await asyncio.wait(under_way, timeout=house.settings.drain_seconds)
    server.should_exit = True
