"""Words in which journeys are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from comms import wiring
from comms.actions import inbox, messages
from comms.actions.acceptance import Request
from comms.actions.house import House
from comms.domain.caller import Caller
from comms.domain.schedule import show
from comms.providers.http import Http
from comms.providers.kind import Tools
from comms.testing import FakeClock

RECIPIENTS = {"email": "ada@example.org", "sms": "+15555550123", "push": "token-1", "in_app": "ada"}


def ask(clock: FakeClock, channel: str = "sms", **changes: Any) -> Request:
    at = show(clock.now() + (changes.pop("after", None) or timedelta(minutes=5)))
    request = Request(channel, "visit", RECIPIENTS[channel], "loop", "p1", "key-1", at, {"name": "Ada"})
    return replace(request, **changes)


def tools(house: House, http: Http | None = None) -> Tools:
    """A journey that calls a vendor brings its connections, and closes them."""

    async def no_sleep(_seconds: float) -> None:
        return None

    return replace(wiring.tools_on(house, http or Http()), sleep=no_sleep)


async def events(house: House, caller: Caller, message_id: str) -> list[str]:
    return [entry["event"] for entry in await messages.timeline(house, caller, UUID(message_id))]


async def outbox(house: House, caller: Caller) -> list[dict[str, Any]]:
    kept, _ = await inbox.outbox(house, caller, "loop", 100)
    return kept


async def status(house: House, caller: Caller, message_id: str) -> str:
    shown = await messages.get_scheduled(house, caller, UUID(message_id))
    return str(shown["status"])
