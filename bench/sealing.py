"""What sealing costs: the service beside the same service that seals nothing, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

import uvloop

from bench.accepts import load
from bench.batch import batch
from bench.dispatch import MESSAGES, drained_all
from bench.figures import Figure
from bench.service import Service

_SEALED, _UNSEALED = "comms", "bench.unsealed"
_ROUNDS = 5
_SECONDS = 2.0
_CLIENTS = 32
_PERSONS = {"to persons who are known": 200, "each to a new person": 1_000_000_000}


def measure(service: Service) -> Iterator[Figure]:
    """Accepts, then dispatch."""
    with ExitStack() as running:
        addresses = [
            running.enter_context(service.process(module, "api"))[1].rpartition("/")[2]
            for module in (_SEALED, _UNSEALED)
        ]
        for who, persons in _PERSONS.items():
            runs = [
                [uvloop.run(_accepts(service, address, persons)) for address in addresses]
                for _ in range(_ROUNDS)
            ]
            sealed, unsealed = (median(column) for column in zip(*runs, strict=True))
            yield Figure(f"accepts/s, {_CLIENTS} clients, {who}; raw: not sealed", sealed, unsealed)
        runs = [
            [
                uvloop.run(_dispatches(service, address, module))
                for address, module in zip(addresses, (_SEALED, _UNSEALED), strict=True)
            ]
            for _ in range(_ROUNDS)
        ]
    sealed, unsealed = (median(column) for column in zip(*runs, strict=True))
    yield Figure(f"dispatched/s, {MESSAGES:,} due at once, one worker; raw: not sealed", sealed, unsealed)


async def _accepts(service: Service, address: str, persons: int) -> float:
    async with service.emptied(persons=False):
        load(service, address, _CLIENTS, 1.0, persons)  # by now the known ones are
        return load(service, address, _CLIENTS, _SECONDS, persons).rate


async def _dispatches(service: Service, address: str, module: str) -> float:
    async with service.emptied() as connection:
        batch(service, address, MESSAGES)
        return await drained_all(service, connection, module)
