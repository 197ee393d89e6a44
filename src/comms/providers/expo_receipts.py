"""Expo's receipts: asked for a while after the tickets, and heard as events.

What is outstanding is held in memory alone. Where the process ends, the receipts of its last
half-hour are never asked for: a device that has gone is then found by the next push to it, and that
Apple or Google refused one of those messages is never heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from comms.providers.base import Outgoing
from comms.providers.events import Event, Happening
from comms.providers.kind import Tools

log = structlog.get_logger()

_WAIT_SECONDS = 900.0
_CALL_SECONDS = 10.0
_MOST_A_CALL = 1000
_MOST = 50_000
_TRIES = 4
_GONE = "DeviceNotRegistered"
_SETUP = {"MismatchSenderId", "InvalidCredentials"}
_CODES = {_GONE, "MessageTooBig", "MessageRateExceeded", *_SETUP}


@dataclass(slots=True)
class _Expected:
    ticket: str
    provider_id: str
    key: str
    token: str = field(repr=False)
    tries: int = 0


class Receipts:
    """Those that are outstanding of one account; of too many the oldest are given up."""

    def __init__(
        self, ask: Callable[[list[str], float], Awaitable[dict[str, Any] | None]], tools: Tools
    ) -> None:
        self._ask = ask
        self._hear = tools.hear
        self._sleep = tools.sleep
        self._now = tools.now
        self._expected: deque[_Expected] = deque(maxlen=_MOST)
        self._asking: asyncio.Task[None] | None = None

    def expect(self, ticket: str, outgoing: Outgoing) -> None:
        """Ask for the receipt of this ticket, when it should be there."""
        self._expected.append(_Expected(ticket, outgoing.provider_id, outgoing.key, outgoing.recipient))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_now_and_then())

    def close(self) -> None:
        """Give up what is outstanding."""
        if self._asking:
            self._asking.cancel()

    async def _ask_now_and_then(self) -> None:
        """Each is at least as old as one wait when it is asked for, and at most two."""
        while self._expected:
            ripe = len(self._expected)
            await self._sleep(_WAIT_SECONDS)
            while ripe > 0 and self._expected:
                some = [self._expected.popleft() for _ in range(min(ripe, _MOST_A_CALL, len(self._expected)))]
                ripe -= len(some)
                await self._fetch(some)

    async def _fetch(self, some: list[_Expected]) -> None:
        try:
            found = await self._ask([each.ticket for each in some], _CALL_SECONDS) or {}
        except Exception as error:  # noqa: BLE001 - whatever it was: they are asked for again
            log.warning("receipts_wait", problem=type(error).__name__)
            found = {}
        for each in some:
            each.tries += 1
            if not await self._is_heard(each, found.get(each.ticket)) and each.tries < _TRIES:
                self._expected.append(each)

    async def _is_heard(self, expected: _Expected, receipt: object) -> bool:
        """One that is well says no more than we know: it was handed on."""
        if not isinstance(receipt, dict):
            return False
        if receipt.get("status") == "error":
            error = error_of(receipt)
            if error in _SETUP:  # of the project's, at Expo: nothing arrives until somebody mends it
                log.error("provider_misconfigured", provider_id=expected.provider_id, reason=f"expo_{error}")
            try:
                await self._hear(expected.provider_id, [self._event(expected, error)])
            except Exception as fault:  # noqa: BLE001 - the database is away, mostly
                log.warning("receipt_waits", problem=type(fault).__name__)
                return False
        return True

    def _event(self, expected: _Expected, error: object) -> Happening:
        is_gone = error == _GONE
        return Event(
            id=f"{expected.ticket}/receipt",
            event="bounced" if is_gone else "failed",
            at=self._now(),
            key=expected.key,
            reference=expected.ticket,
            recipient=expected.token,
            for_good=is_gone,
            reason=f"expo_{error}" if error in _CODES else "expo_receipt_error",
        )


def error_of(said: dict[str, Any]) -> object:
    """The code in a ticket's or a receipt's details."""
    details = said.get("details")
    error = details.get("error") if isinstance(details, dict) else None
    return error if isinstance(error, str) else None
