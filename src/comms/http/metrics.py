"""What Prometheus asks for, and the counting of requests on their way in."""

from __future__ import annotations

import time
from collections.abc import Awaitable

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comms.actions import metrics
from comms.domain.caller import ANY
from comms.domain.errors import Refused
from comms.http.routing import NOBODY, Answer, Call
from comms.metrics import Metrics

_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
_GONE = 499  # nobody heard the answer


async def show_metrics(call: Call) -> Answer:
    """The figures of this process, which are of all brands."""
    if call.caller.brand_id not in {NOBODY.brand_id, ANY}:
        raise Refused(403, "forbidden", "The figures are of all brands; use a token for any brand.")
    return Answer(await metrics.scrape(call.house), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class Metered:
    """Counts and times the requests to an address by its pattern; the address itself may name a person."""

    def __init__(self, kept: Metrics, pattern: str, answering: ASGIApp) -> None:
        self._metrics = kept
        self._pattern = pattern
        self._answering = answering

    def answers(self, method: str) -> bool:
        """Does who is behind it know the method? Of who does not say: yes."""
        known = getattr(self._answering, "methods", None)
        return known is None or method in known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and note what was answered."""
        started, status = time.perf_counter(), _GONE

        def noting(message: Message) -> Awaitable[None]:
            nonlocal status
            status = message.get("status", status)
            return send(message)

        try:
            await self._answering(scope, receive, noting)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"  # a client may make one up
            self._metrics.requests.add(self._pattern, method, status)
            self._metrics.request.add(time.perf_counter() - started, self._pattern)
