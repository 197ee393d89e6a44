"""`serve`, `api` and `worker`: what runs until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import click
import uvicorn
import uvloop

from comms import telemetry, wiring
from comms.actions.house import House
from comms.clock import Clock
from comms.dispatch.worker import Worker
from comms.http.app import application
from comms.settings import Settings

Meanwhile = Callable[[House, str], Awaitable[bool]]
"""What runs beside the service, given its address; True: stop when it is done."""


class _Server(uvicorn.Server):
    """Leaves the signals to us: the worker must hear them too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: Settings, *, api: bool, worker: bool, meanwhile: Meanwhile | None = None) -> None:
    """Run the parts until SIGTERM or Ctrl-C, then let what is in flight finish."""
    telemetry.set_up(settings.log_level)
    key = wiring.master_key(settings)
    with wiring.database(settings) as dsn:

        async def main() -> None:
            await wiring.bring_up_to_date(dsn)
            async with AsyncExitStack() as stack:
                house = await stack.enter_async_context(wiring.house(dsn, settings, key, Clock()))
                await _run_parts(house, dsn, api=api, worker=worker, meanwhile=meanwhile)

        uvloop.run(main())


async def _run_parts(house: House, dsn: str, *, api: bool, worker: bool, meanwhile: Meanwhile | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as parts:
        if worker:
            parts.create_task(Worker(house, wiring.tools(house)).run(stop, dsn))
        if api:
            server = _server(house)
            parts.create_task(server.serve())
            address = await _address(server)
            click.echo(f"comms listens on {address}")
            parts.create_task(_end(server, stop))
            if meanwhile:
                parts.create_task(_beside(meanwhile, house, address, stop))
        else:
            click.echo("comms worker runs")


async def _beside(meanwhile: Meanwhile, house: House, address: str, stop: asyncio.Event) -> None:
    if await meanwhile(house, address):
        stop.set()


def _server(house: House) -> _Server:
    settings = house.settings
    return _Server(
        uvicorn.Config(
            application(house),
            host=settings.host,
            port=settings.port,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.drain_seconds) or None,
        )
    )


async def _address(server: _Server) -> str:
    while not server.started:  # noqa: ASYNC110 - the library has no event for it
        await asyncio.sleep(0.005)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _end(server: _Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
