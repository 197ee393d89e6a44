"""What sealing costs: the service beside the same service that seals nothing, in turns.

Once by the clock on the wall, and once by what the processors did: a busy machine makes the first
swing by a tenth, and leaves the second alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import uvloop

from bench import processor
from bench.accepts import load
from bench.batch import batch
from bench.dispatch import TOOK, make_due
from bench.figures import Figure, paired
from bench.service import Service
from comms.store.database import Connection

_MODULES = ("comms", "bench.unsealed")
_ACCEPTS = 9
_DISPATCHES = 5
_MESSAGES = 10_000
_SECONDS = 1.5
_CLIENTS = 32
_PATIENCE = 120.0
_PERSONS = {"to persons who are known": 200, "each to a new person": 1_000_000_000}


class Api(NamedTuple):
    """One that runs: where, and which process."""

    module: str
    address: str
    pid: int


class Done(NamedTuple):
    """Of one round: messages a second on the wall, and a second of all processors that worked on them."""

    wall: float
    processor: float


def measure(service: Service) -> Iterator[Figure]:
    """Accepts, then dispatch."""
    with ExitStack() as running:
        apis = []
        for module in _MODULES:
            process, said = running.enter_context(service.process(module, "api"))
            apis.append(Api(module, said.rpartition("/")[2], process.pid))
        for who, persons in _PERSONS.items():
            runs = [
                [uvloop.run(_accepts(service, api, persons)) for api in _turn(apis, n)]
                for n in range(_ACCEPTS)
            ]
            yield from _figures(f"accepts, {_CLIENTS} clients, {who}", runs)
        runs = [[uvloop.run(_dispatches(service, api)) for api in _turn(apis, n)] for n in range(_DISPATCHES)]
        yield from _figures(f"dispatched, {_MESSAGES:,} due at once, one worker", runs)


def _turn(apis: list[Api], number: int) -> list[Api]:
    """Who goes first changes with each round: the second finds warmer caches and a fuller log."""
    return apis if number % 2 == 0 else apis[::-1]


def _figures(name: str, runs: list[list[Done]]) -> Iterator[Figure]:
    sealed, unsealed = zip(*(run if n % 2 == 0 else run[::-1] for n, run in enumerate(runs)), strict=True)
    for what, per in (("wall", "s"), ("processor", "s of processors")):
        mine, theirs = ([getattr(done, what) for done in dones] for dones in (sealed, unsealed))
        yield paired(f"{name}, a {per}; raw: not sealed", mine, theirs)


async def _accepts(service: Service, api: Api, persons: int) -> Done:
    async with service.emptied(persons=False) as connection:
        load(service, api.address, _CLIENTS, 0.5, persons)  # by now the known ones are
        before = _spent(service, api.pid)
        accepted = await connection.fetchval("select count(*) from message")
        rate = load(service, api.address, _CLIENTS, _SECONDS, persons).rate
        accepted = await connection.fetchval("select count(*) from message") - accepted
        return Done(rate, accepted / (_spent(service, api.pid) - before))


async def _dispatches(service: Service, api: Api) -> Done:
    async with service.emptied() as connection:
        batch(service, api.address, _MESSAGES)
        await make_due(connection)
        with service.process(api.module, "worker") as (process, _):
            before = _spent(service, process.pid)
            rate = await _drained(connection)
            return Done(rate, _MESSAGES / (_spent(service, process.pid) - before))


async def _drained(connection: Connection) -> float:
    """By the database's clock, from the first claim to the last message recorded as sent."""
    async with asyncio.timeout(_PATIENCE):
        while await connection.fetchval("select exists (select from queue)"):  # noqa: ASYNC110 - see it end
            await asyncio.sleep(0.05)
    took = await connection.fetchval(TOOK)
    return _MESSAGES / float(took)


def _spent(service: Service, pid: int) -> float:
    """Seconds of the processor: our process and PostgreSQL's."""
    database = processor.postmaster(service.settings.data_dir)
    return processor.seconds(pid) + processor.seconds(database, with_children=True)
