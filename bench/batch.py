"""Messages accepted a second in one call, beside their bare rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from statistics import median

import msgspec
import uvloop

from bench import raw
from bench.figures import Figure
from bench.messages import body, later
from bench.service import Service

_ROUNDS = 3
_SECONDS = 2.0
_MESSAGES = 20_000
_TOGETHER = 512
"""As many as the acceptor writes of a batch at a time."""


def measure(service: Service) -> Iterator[Figure]:
    """Our rate beside the acceptor's own statement, and beside COPY."""
    with service.process("comms", "api") as (_, said):
        address = said.rpartition("/")[2]
        batch(service, address, 500)  # the first requests compile the template and open connections
        runs = [uvloop.run(_round(service, address)) for _ in range(_ROUNDS)]
        ours, grouped, copied = (median(column) for column in zip(*runs, strict=True))
    yield Figure("accepts/s, 20,000 in a batch; raw: in groups, as the acceptor", ours, grouped)
    yield Figure("accepts/s, 20,000 in a batch; raw: COPY", ours, copied)


async def _round(service: Service, address: str) -> tuple[float, float, float]:
    async with service.emptied() as connection:
        ours = batch(service, address, _MESSAGES)
        sample = await raw.sample_accepted(connection)
        grouped = await raw.accept_groups(service.dsn, sample, _TOGETHER, _SECONDS, writers=1)
        copied = await raw.accept_copied(service.dsn, sample, _SECONDS)
        return ours, grouped.rate, copied.rate


def batch(service: Service, address: str, count: int) -> float:
    """Messages a second, from the first byte to the last verdict; all but 201 ends the bench."""
    lines = b"".join(msgspec.json.encode(body(later())) + b"\n" for _ in range(count))
    headers = {"Authorization": f"Bearer {service.token}", "Content-Type": "application/x-ndjson"}
    with closing(HTTPConnection(address)) as connection:
        began = time.perf_counter()
        connection.request("POST", "/v1/messages/schedule/batch", lines, headers)
        verdicts = connection.getresponse().read().splitlines()
        took = time.perf_counter() - began
    assert len(verdicts) == count
    assert all(b'"status":201' in verdict for verdict in verdicts)
    return count / took
