"""E-mail through Resend, whose idempotency key makes a lost answer safe to ask for again, for 24 hours.

https://resend.com/docs/dashboard/emails/idempotency-keys and /docs/api-reference/errors.

Its webhooks (/docs/dashboard/webhooks/event-types) are signed as Standard Webhooks, each attempt anew.
Opens and clicks are tracked by domain, not by mail: one that carries health data has both off.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected
from comms.providers.events import Event, EventName, Forged, Incoming
from comms.providers.http import Answer, Request
from comms.providers.mail import Envelope, envelope, own_headers
from comms.providers.signatures import (
    MINUTES,
    decoded,
    instant,
    json,
    members,
    our_key,
    require_fresh,
    secret,
    text,
)
from comms.providers.vendor import BaseUrl, Meanings, address, as_json, bearer, vendor_kind

_LARGEST = 40 * 1024 * 1024
_KEY_SECONDS = 86_400

_MEANINGS = Meanings(
    "resend",
    later={
        "concurrent_idempotent_requests": "an earlier call with this key is not done yet",
        "rate_limit_exceeded": "too many requests",
    },
    setup={
        "missing_api_key": "",
        "restricted_api_key": "",
        "invalid_api_key": "",
        "invalid_from_address": "",
        "invalid_access": "the key may not do this",
        "daily_quota_exceeded": "more than a call's wait: a person must buy or wait",
        "monthly_quota_exceeded": "the same",
    },
    lost={"invalid_idempotent_request": "an earlier call with this key and another body was taken"},
)

_EVENTS: dict[str, EventName] = {
    "email.sent": "accepted",
    "email.delivered": "delivered",
    "email.delivery_delayed": "deferred",
    "email.bounced": "bounced",
    "email.suppressed": "bounced",  # it bounced or complained before, to anybody's mail from this account
    "email.complained": "complained",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.failed": "failed",
}
"""What is about contacts and domains, and mail that comes in, is passed over."""


class ResendSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing need be set."""

    base_url: BaseUrl = "https://api.resend.com"


def compose(
    settings: ResendSettings, secrets: Mapping[str, str], outgoing: Outgoing
) -> Request | Rejected | Misconfigured:
    """POST /emails; one recipient a call, since an event does not say which of several it is about."""
    mail, content = envelope(outgoing), outgoing.content
    if not isinstance(mail, Envelope):
        return mail
    members = {
        "from": str(mail.sender),
        "to": [mail.recipient],
        "reply_to": mail.reply_to,
        "subject": mail.subject,
        "html": content.body,
        "text": content.text,
        "headers": own_headers(outgoing),
        "tags": [{"name": "comms_key", "value": outgoing.key}],
    }
    headers = {**bearer(secrets["api_key"]), "Idempotency-Key": outgoing.key}
    request = Request(address(settings.base_url, "/emails"), *as_json(members, headers))
    return Rejected("too_large") if len(request.body) > _LARGEST else request


def read(answer: Answer) -> Outcome:
    """An id is a mail that was taken, now or by an earlier call with the same key."""
    if answer.status == 200:
        reference = answer.members.get("id")
        return Accepted(reference) if isinstance(reference, str) else Lost("answer_unreadable")
    return _MEANINGS.of(answer, answer.members.get("name"))


def parse_events(_settings: ResendSettings, secrets: Mapping[str, str], incoming: Incoming) -> list[Event]:
    """One a call; its id stays the same however often it is tried."""
    event_id = _verify(secrets, incoming)
    found = members(json(incoming.body))
    name = text(found.get("type"))
    event = _EVENTS.get(name)
    if event is None:
        return []
    data = members(found.get("data"))
    is_hard = members(data.get("bounce")).get("type") == "Permanent" or name == "email.suppressed"
    return [
        Event(
            id=event_id,
            event=event,
            at=instant(found.get("created_at")),
            key=our_key(_tag(data.get("tags"))),
            reference=text(data.get("email_id")),
            for_good=event == "bounced" and is_hard,
            reason=name.replace("email.", "resend_") if event in {"bounced", "failed"} else None,
        )
    ]


def _verify(secrets: Mapping[str, str], incoming: Incoming) -> str:
    """The event's id. While a secret is changed a call carries a signature by each."""
    event_id, stamp = incoming.headers.get("svix-id", ""), incoming.headers.get("svix-timestamp", "")
    require_fresh(stamp, incoming.now, MINUTES)
    key = decoded(secret(secrets, "webhook_secret").removeprefix("whsec_"))
    signed = f"{event_id}.{stamp}.".encode() + incoming.body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = incoming.headers.get("svix-signature", "").split()
    fits = [hmac.compare_digest(each.removeprefix("v1,").encode(), expected) for each in given]
    if not (event_id and any(fits)):
        raise Forged
    return event_id


def _tag(tags: Any) -> Any:
    """By name; its older events had a list of pairs."""
    if isinstance(tags, list):
        return next(
            (each.get("value") for each in map(members, tags) if each.get("name") == "comms_key"), None
        )
    return members(tags).get("comms_key")


KIND = vendor_kind(
    "email",
    ResendSettings,
    ["api_key"],
    compose,
    read,
    key_lasts=_KEY_SECONDS,
    parse_events=parse_events,
    webhook_secrets=["webhook_secret"],
)
