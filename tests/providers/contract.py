"""A vendor as its tests know it, and one delivery to it against a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from comms.domain.content import Rendered
from comms.providers import catalogue
from comms.providers.base import Outcome, Outgoing, Provider, Sender
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

    @property
    def outgoing(self) -> Outgoing:
        return MAIL if "email" in catalogue.KINDS[self.kind].channels else TEXT


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
    """Of the house, a vendor needs the connections alone."""
    return Tools(None, None, None, asyncio.sleep, None, http)  # type: ignore[arg-type]


async def outcome_of(case: Case, *script: Said | Misdeed, **changes: Any) -> tuple[Outcome, VendorServer]:
    """One delivery against one script."""
    async with vendor(*script) as server, account(case, server.url) as provider:
        return await provider.send(replace(case.outgoing, **changes)), server
