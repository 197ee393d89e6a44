"""Words in which journeys are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace as replace_members

from comms import wiring
from comms.actions import acceptance, inbox, messages
from comms.actions.acceptance import Request
from comms.actions.brands import put_brand
from comms.actions.consents import About, put_consent
from comms.actions.house import House
from comms.actions.templates import NewTemplate, add_version, create
from comms.domain.caller import Caller
from comms.domain.schedule import DEFAULT_MAX_LATE, show
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


async def change_brand(house: House, caller: Caller, **changes: Any) -> None:
    """The same brand with other settings."""
    brand = await house.setup.require_brand("loop")
    await put_brand(house, caller, "loop", replace_members(brand.settings, **changes))


async def make_letter(house: House, caller: Caller, category: str, max_late: int = DEFAULT_MAX_LATE) -> None:
    """A template `letter` on every channel; its category is consented to by p1."""
    for channel in RECIPIENTS:
        new = NewTemplate("loop", "letter", channel, None, category, max_late, "prefer_silence")
        template = await create(house, caller, new)
        await add_version(house, caller, UUID(template["id"]), {"subject": "News", "body": "Hi"})
        about = About("loop", "p1", channel, category)
        await put_consent(house, caller, about, opted_in=True, source="form")


async def schedule(house: House, caller: Caller, request: Request) -> str:
    """The id of the message that is accepted."""
    message_id: str = (await acceptance.schedule(house, caller, request)).message["id"]
    return message_id


async def ended(house: House, caller: Caller, message_id: str) -> tuple[str, str | None]:
    """Where a message stands, and why."""
    shown = await messages.get_scheduled(house, caller, UUID(message_id))
    return shown["status"], shown["failure_reason"]
