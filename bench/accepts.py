"""Messages accepted a second over HTTP, beside their bare rows."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import uvloop

from bench import raw
from bench.figures import Figure, Pace, middle
from bench.service import Service

_ROUNDS = 3
_SECONDS = 2.0
_CLIENTS = (1, 32)


def measure(service: Service) -> Iterator[Figure]:
    """One client, then 32: our rate and latencies beside the plain way and beside the acceptor's."""
    with service.process("comms", "api") as (_, said):
        address = said.rpartition("/")[2]
        load(service, address, 32, 0.5)  # the first requests compile the template and open connections
        for clients in _CLIENTS:
            runs = [uvloop.run(_round(service, address, clients)) for _ in range(_ROUNDS)]
            yield from _figures(clients, *(middle(each) for each in zip(*runs, strict=True)))


async def _round(service: Service, address: str, clients: int) -> tuple[Pace, Pace, Pace]:
    async with service.emptied() as connection:
        ours = load(service, address, clients, _SECONDS)
        sample = await raw.sample_accepted(connection)
        plain = await raw.accept_each(service.dsn, sample, clients, _SECONDS)
        grouped = await raw.accept_groups(service.dsn, sample, clients, _SECONDS)
        return ours, plain, grouped


def load(service: Service, address: str, clients: int, seconds: float, persons: int = 1_000_000) -> Pace:
    """What so many clients see who write to so many persons."""
    words = (*address.split(":"), service.token, str(clients), str(seconds), str(persons))
    with service.process("bench.load", *words) as (_, said):
        return msgspec.json.decode(said, type=Pace)


def _figures(clients: int, ours: Pace, plain: Pace, grouped: Pace) -> Iterator[Figure]:
    who = f"{clients} client{'s' if clients > 1 else ''}"
    yield Figure(f"accepts/s, {who}; raw: a transaction a message", ours.rate, plain.rate)
    yield Figure(f"accepts/s, {who}; raw: in groups, as the acceptor", ours.rate, grouped.rate)
    yield Figure(f"accept p50 ms, {who}; raw: a transaction a message", ours.p50, plain.p50)
    yield Figure(f"accept p99 ms, {who}; raw: a transaction a message", ours.p99, plain.p99)
