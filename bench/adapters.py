"""What each adapter of a vendor adds to a call: to make the request and to read the answer, in microseconds.

Of the thread's own time, with the accounts and answers of the adapters' tests and nothing in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from statistics import median
from urllib.parse import urlsplit

import msgspec
from tests.providers.contract import MAIL, NOW, TEXT, Case, tools
from tests.providers.vendor_cases import CASES

from bench.figures import Figure
from bench.service import Service
from comms.providers import catalogue, smpp_pdu, smtp_mail
from comms.providers.base import Accepted
from comms.providers.http import Answer, Http, Request, members_of

_CALLS, _ROUNDS, _MAY_TAKE = 500, 5, 1000.0


def measure(_service: Service) -> Iterator[Figure]:
    """Each beside the millisecond that it may take."""
    for case in CASES:
        took = median(asyncio.run(_calls(case)) for _ in range(_ROUNDS))
        yield Figure(f"adapter µs, {case.kind}; raw: what it may take", took, _MAY_TAKE)
    for name, once in (("smtp", _mail), ("smpp", _text)):
        took = median(_took(once) for _ in range(_ROUNDS))
        yield Figure(f"adapter µs, {name}; raw: what it may take", took, _MAY_TAKE)


async def _calls(case: Case) -> float:
    class Answering(Http):
        async def post(self, request: Request, _seconds: float) -> Answer:
            said = case.aside.get(urlsplit(request.url).path, case.taken)
            raw = said.raw if said.raw is not None else msgspec.json.encode(said.members)
            return Answer(said.status, said.headers, members_of(raw), raw)

    provider = catalogue.build(case.kind, dict(case.settings), dict(case.secrets), tools(Answering()))
    assert isinstance(await provider.send(case.outgoing), Accepted)
    began = time.thread_time()
    for _ in range(_CALLS):
        await provider.send(case.outgoing)
    return (time.thread_time() - began) / _CALLS * 1e6


def _mail() -> None:
    smtp_mail.compose(MAIL, NOW)


def _text() -> None:
    source, to = smpp_pdu.address("Loop"), smpp_pdu.address(TEXT.recipient)
    assert smpp_pdu.submissions(source, to, TEXT.content.body, TEXT.lifetime, 7)


def _took(once: Callable[[], None]) -> float:
    began = time.thread_time()
    for _ in range(_CALLS):
        once()
    return (time.thread_time() - began) / _CALLS * 1e6
