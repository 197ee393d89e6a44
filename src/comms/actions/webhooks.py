"""Providers' calls to us: read, and taken in."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

import msgspec
import structlog

from comms.actions import events
from comms.actions.house import House
from comms.domain.errors import Refused, Unavailable
from comms.providers.catalogue import KINDS
from comms.providers.events import Confirmation, Forged, Inbound, Incoming, Unreadable
from comms.providers.events import Unavailable as NotReadable
from comms.settings import Settings

log = structlog.get_logger()


class Received(NamedTuple):
    """How many events and texts; `thanks` is the answer that this provider wants for a text."""

    received: int
    thanks: tuple[str, bytes] | None


def events_url(settings: Settings, provider_id: str) -> str | None:
    """Our address for a provider's events, as it is known outside."""
    if not settings.public_url:
        return None
    return f"{settings.public_url.rstrip('/')}/v1/webhooks/{quote(provider_id, safe='')}"


async def receive(house: House, provider_id: str, incoming: Incoming) -> Received:
    """Check whose call it is, and take in what it says. 401 tells nobody why."""
    await house.setup.refresh()
    account = await house.setup.account(provider_id)
    kind = KINDS.get(account.kind) if account else None
    if account is None or kind is None or kind.parse_events is None:
        raise Refused(404, "not_found", "There is nothing at this address.")
    settings = msgspec.convert(account.settings, kind.settings)
    try:
        happenings = await house.webhooks.read(kind.parse_events, settings, account.secrets, incoming)
        for each in happenings:
            if isinstance(each, Confirmation):
                await house.webhooks.confirm(each.url)
    except Forged:
        log.info("webhook_refused", provider_id=provider_id)
        why = "The call is not signed as this provider signs its calls, or too long ago."
        raise Refused(401, "invalid_signature", why) from None
    except Unreadable:
        log.error("webhook_not_understood", provider_id=provider_id)
        raise Refused(422, "unreadable_webhook", "The call is signed, and not what was expected.") from None
    except NotReadable:
        raise Unavailable("What this call needs could not be read just now; call again.") from None
    await events.hear(house, provider_id, happenings)
    has_text = any(isinstance(each, Inbound) for each in happenings)
    return Received(len(happenings), kind.thanks if has_text else None)
