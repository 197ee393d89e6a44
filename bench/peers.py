"""What one would pick instead, beside ours in the same run: each peer does the same on a database of its own.

The peers' programs stand in `bench/peer_programs`, and run with what is installed for them alone.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import uvloop

from bench import lateness
from bench.accepts import load
from bench.dispatch import MESSAGES, drained_all
from bench.figures import Figure, percentile
from bench.service import Service

_ROOT = Path(__file__).parent.parent
_PYTHON = _ROOT / ".venv" / "bench-peers" / "bin" / "python"
_PROGRAMS = Path(__file__).parent / "peer_programs"
_DATABASE = "peer"

_HOME_MADE = "home_made"
_DRAINED = {"procrastinate_peer": 2_000, "pgqueuer_peer": MESSAGES, _HOME_MADE: MESSAGES}
"""Fewer for the slow one: its rate does not depend on how many there are."""

_NAMES = {
    "procrastinate_peer": "procrastinate",
    "pgqueuer_peer": "PgQueuer",
    _HOME_MADE: "FastAPI, SQLAlchemy and a poller",
}
_CLIENTS = 32
_SECONDS = 2.0
_ROUNDS = 3
_PATIENCE = 180.0


def measure(service: Service) -> Iterator[Figure]:
    """Accepted, drained, late: ours beside each."""
    yield from _beside(
        "accepts/s, 32 clients", _rounds(service, _ours_accepted, lambda peer: _accepted(service, peer))
    )
    yield from _beside(
        "drained/s, due at once", _rounds(service, _ours_drained, lambda peer: _drained(service, peer))
    )
    late = {None: uvloop.run(lateness.ours(service))} | {peer: _late(service, peer) for peer in _NAMES}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        at = {who: percentile(found, share) for who, found in late.items()}
        yield from _beside(f"lateness {name} ms, {lateness.A_SECOND}/s", at)


def _beside(name: str, found: dict[str | None, float]) -> Iterator[Figure]:
    for peer, label in _NAMES.items():
        yield Figure(f"{name}; raw: {label}", found[None], found[peer])


def _rounds(
    service: Service, ours: Callable[[Service], float], theirs: Callable[[str], float]
) -> dict[str | None, float]:
    """The medians of several rounds, in which all take turns; None: ours."""
    rounds = [{None: ours(service)} | {peer: theirs(peer) for peer in _NAMES} for _ in range(_ROUNDS)]
    return {who: median(each[who] for each in rounds) for who in (None, *_NAMES)}


def _ours_accepted(service: Service) -> float:
    async def emptied() -> None:
        async with service.emptied():
            pass

    uvloop.run(emptied())
    with service.process("comms", "api") as (_, said):
        address = said.rpartition("/")[2]
        load(service, address, _CLIENTS, 0.5)
        return load(service, address, _CLIENTS, _SECONDS).rate


def _ours_drained(service: Service) -> float:
    async def drained() -> float:
        async with service.emptied() as connection:
            await service.schedule([lateness.tomorrow()] * MESSAGES)
            return await drained_all(service, connection)

    return uvloop.run(drained())


def _accepted(service: Service, peer: str) -> float:
    if peer != _HOME_MADE:
        rate: float = _said(service, peer, "accepts", _CLIENTS, _SECONDS)
        return rate
    with _running(service, peer, "serves") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rpartition("/")[2]
        load(service, address, _CLIENTS, 0.5)
        rate = load(service, address, _CLIENTS, _SECONDS).rate
        process.terminate()
        return rate


def _drained(service: Service, peer: str) -> float:
    rate: float = _said(service, peer, "drains", _DRAINED[peer])
    return rate


def _late(service: Service, peer: str) -> list[float]:
    count = lateness.A_SECOND * lateness.SECONDS
    found: list[float] = _said(service, peer, "lateness", count, lateness.SECONDS)
    return found


def _said(service: Service, peer: str, *words: Any) -> Any:
    with _running(service, peer, *words) as process:
        return msgspec.json.decode(process.communicate(timeout=_PATIENCE)[0])


@contextmanager
def _running(service: Service, peer: str, *words: Any) -> Iterator[subprocess.Popen[str]]:
    """A peer's program on an empty database beside ours, on the same server."""
    dsn = asyncio.run(_emptied(service.dsn))
    command: list[str | Path] = [_PYTHON, _PROGRAMS / f"{peer}.py", dsn, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def _emptied(ours: str) -> str:
    connection = await asyncpg.connect(ours)
    await connection.execute(f"drop database if exists {_DATABASE} with (force)")
    await connection.execute(f"create database {_DATABASE}")
    await connection.close()
    return urlunsplit(urlsplit(ours)._replace(path=f"/{_DATABASE}"))
