"""Ten thousand messages of two years, judged ahead of time in one call, beside the minute it may take."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from statistics import median

import msgspec
import uvloop

from bench.figures import Figure
from bench.messages import BRAND
from bench.service import Service
from comms.domain.brand import Cap, QuietHours
from comms.domain.schedule import show

_MESSAGES = 10_000
_PERSONS = 1_000
_YEARS = timedelta(days=730)
_ALLOWED = 60.0
_ROUNDS = 3
_QUIET = QuietHours("21:00", "08:00", ["transactional"])
_CAPS = [Cap(1, 86_400, "defer", "transactional"), Cap(3, 30 * 86_400, "defer", "transactional")]


def measure(service: Service) -> Iterator[Figure]:
    """Seconds until the answer is read."""
    yield Figure(
        "simulation s, 10,000 messages in two years; raw: what it may take",
        uvloop.run(_measure(service)),
        _ALLOWED,
    )


async def _measure(service: Service) -> float:
    ends = datetime.now(UTC) + _YEARS
    instants = (ends - random.random() * _YEARS for _ in range(_MESSAGES))
    async with service.emptied(), service.ruled(_QUIET, _CAPS):
        await service.schedule(instants, _PERSONS)
        with service.process("comms", "api") as (_, said):
            address = said.rpartition("/")[2]
            return median(_simulate(service, address, ends) for _ in range(_ROUNDS))


def _simulate(service: Service, address: str, ends: datetime) -> float:
    """An answer that leaves some out, or puts nothing off, ends the bench."""
    asked = msgspec.json.encode({"brand_id": BRAND, "until": show(ends)})
    headers = {"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"}
    with closing(HTTPConnection(address)) as connection:
        began = time.perf_counter()
        connection.request("POST", "/v1/simulations", asked, headers)
        answer = msgspec.json.decode(connection.getresponse().read())
        took = time.perf_counter() - began
    assert len(answer["data"]) > 0.99 * _MESSAGES
    assert any("deferred" in each.get("details", {}) for each in answer["data"])
    return took
