"""A vendor as its tests know it, and one delivery to it against a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from comms.domain.content import Rendered
from comms.providers import catalogue
from comms.providers.base import Device, Outcome, Outgoing, Provider, Sender
from comms.providers.http import Http
from comms.providers.kind import Tools
from tests.providers.vendor_server import Misdeed, Said, VendorServer, vendor

KEY = "01a20a31-cbed-7914-bfa9-4f22b6fa28e7-0"
ADDRESS, NUMBER = "ada.private@example.org", "+15555550123"

MAIL = Outgoing(
    message_id=UUID(int=7),
    key=KEY,
    brand_id="loop",
    person_id="p1",
    channel="email",
    provider_id="vendor",
    recipient=ADDRESS,
    content=Rendered(body="<p>Hi <b>Ada</b></p>", subject="Your visit", text="Hi Ada"),
    sender=Sender("care@loop.test", "Loop", "help@loop.test"),
)
TEXT = replace(MAIL, channel="sms", recipient=NUMBER, content=Rendered(None, "Hi Ada: 9:30"), sender=Sender())
LINK = "https://loop.test/visits/4711"
PUSH = replace(TEXT, channel="push", content=Rendered("Your visit", "Hi Ada: 9:30", action_url=LINK))
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A vendor as its tests know it: an account, and answers as the vendor's pages print them."""

    kind: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    taken: Said
    reference: str | None
    bad_recipient: Said
    refused: Said
    busy: Said
    misconfigured: Said
    idempotent: bool = False
    names_bad_recipients: bool = True
    carries_key: bool = True
    """Our key can be read in the request."""

    token: str = ""
    """Of a push service: the device's."""

    private: tuple[str, ...] = ()
    """What must not be shown, beside the secrets as they are."""

    gone: frozenset[int] = frozenset()
    """Statuses that speak of the recipient, since the address that is called is the recipient's own."""

    aside: Mapping[str, Said] = field(default_factory=dict)
    """Answers to what it asks for beside the call itself, by path."""

    signs_each_call: bool = False
    """Two requests of the same content differ in their signature and its date."""

    @property
    def outgoing(self) -> Outgoing:
        channels = catalogue.KINDS[self.kind].channels
        if "push" in channels:
            return replace(PUSH, recipient=self.token, device=Device(self.token, self.kind))
        return MAIL if "email" in channels else TEXT


@asynccontextmanager
async def account(case: Case, url: str, **changes: Any) -> AsyncIterator[Provider]:
    """The adapter, built as a worker builds it, with its calls going to `url`."""
    settings = {**case.settings, "base_url": url, **changes.pop("settings", {})}
    secrets = {**case.secrets, **changes.pop("secrets", {})}
    catalogue.check(case.kind, settings, set(secrets))
    async with Http() as http:
        provider = catalogue.build(case.kind, settings, secrets, tools(http))
        yield provider
        await provider.close()


def tools(http: Http) -> Tools:
    """Of the house, a vendor needs the connections, and the time."""

    async def never_asked(*_: object) -> None:
        raise AssertionError

    return Tools(never_asked, never_asked, never_asked, asyncio.sleep, lambda: NOW, http)


async def outcome_of(case: Case, *script: Said | Misdeed, **changes: Any) -> tuple[Outcome, VendorServer]:
    """One delivery against one script."""
    async with vendor(*script, aside=case.aside) as server, account(case, server.url) as provider:
        return await provider.send(replace(case.outgoing, **changes)), server
