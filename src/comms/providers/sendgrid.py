"""E-mail through SendGrid's v3 API. A lost answer is a doubt: there is no idempotency key.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send. Our key goes along as a custom
argument; SendGrid keeps those for long and shows them to its staff, so nothing else does.

Its webhook posts events in batches (/docs/sendgrid/for-developers/tracking-events/event), signed by ECDSA
over time and body (.../getting-started-event-webhook-security-features), and tries for a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import parsedate_to_datetime
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct

from comms.providers.base import Accepted, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.events import Event, EventName, Forged, Incoming, Unreadable
from comms.providers.http import Answer, Request
from comms.providers.mail import Envelope, envelope, own_headers
from comms.providers.signatures import (
    A_DAY,
    decoded,
    instant,
    json,
    members,
    our_key,
    require_fresh,
    secret,
    text,
)
from comms.providers.vendor import BaseUrl, Meanings, address, as_json, bearer, retry_after, vendor_kind

_LARGEST = 30 * 1024 * 1024
_MEANINGS = Meanings("sendgrid")

_HEADER = "X-Twilio-Email-Event-Webhook-"

_EVENTS: dict[str, EventName] = {
    "processed": "accepted",
    "delivered": "delivered",
    "deferred": "deferred",
    "bounce": "bounced",
    "open": "opened",
    "click": "clicked",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
"""`dropped` says why. What is about a group or the account, not a mail, is passed over: a person who comes
back (group_resubscribe) says so to the brand."""

_DROPPED: dict[str, EventName] = {
    "bounced address": "bounced",  # earlier, to anybody's mail from this account
    "invalid": "bounced",  # no address at all
    "spam reporting address": "complained",
    "unsubscribed address": "unsubscribed",
}
"""Any other reason is about the mail: `failed`."""


_UNTRACKED = {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}}


class SendgridSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`base_url` is https://api.eu.sendgrid.com for a subuser in the European Union."""

    base_url: BaseUrl = "https://api.sendgrid.com"


def compose(
    settings: SendgridSettings, secrets: Mapping[str, str], outgoing: Outgoing
) -> Request | Rejected | Misconfigured:
    """POST /v3/mail/send; the text goes before the HTML, or it is refused."""
    mail, content = envelope(outgoing), outgoing.content
    if not isinstance(mail, Envelope):
        return mail
    parts = {"text/plain": content.text, "text/html": content.body}
    members = {
        "personalizations": [{"to": [{"email": mail.recipient}], "custom_args": {"comms_key": outgoing.key}}],
        "from": _party(mail.sender),
        "reply_to": {"email": mail.reply_to} if mail.reply_to else None,
        "subject": mail.subject,
        "content": [{"type": kind, "value": value} for kind, value in parts.items() if value],
        "headers": own_headers(outgoing),
        "tracking_settings": _UNTRACKED if outgoing.hipaa else None,
    }
    url = address(settings.base_url, "/v3/mail/send")
    request = Request(url, *as_json(members, bearer(secrets["api_key"])))
    return Rejected("too_large") if len(request.body) > _LARGEST else request


def read(answer: Answer) -> Outcome:
    """202 and an id in a header; a refusal names the field."""
    if answer.status == 202:
        return Accepted(answer.headers.get("X-Message-Id"))
    if answer.status == 429:
        return TryLater("sendgrid_http_429", after=retry_after(answer) or _until_reset(answer))
    if answer.status == 400:
        fields = _fields(answer)
        if any(field.startswith("from") for field in fields):
            return Misconfigured("sendgrid_from")
        if any(field.startswith("personalizations") and field.endswith("email") for field in fields):
            return Rejected("sendgrid_to", bad_recipient=True)
    return _MEANINGS.of(answer)


def _fields(answer: Answer) -> list[str]:
    errors = answer.members.get("errors")
    found = errors if isinstance(errors, list) else []
    return [str(each.get("field") or "") for each in found if isinstance(each, dict)]


def _until_reset(answer: Answer) -> float | None:
    """`X-RateLimit-Reset` is an instant in seconds since 1970; SendGrid's own clock says how far off."""
    try:
        now = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        return max(0.0, int(answer.headers["X-RateLimit-Reset"]) - now)
    except (KeyError, TypeError, ValueError):
        return None


def _party(sender: Address) -> dict[str, str]:
    party = {"email": sender.addr_spec}
    return {**party, "name": sender.display_name} if sender.display_name else party


def parse_events(_settings: SendgridSettings, secrets: Mapping[str, str], incoming: Incoming) -> list[Event]:
    """Many a call, each with an id."""
    stamp = incoming.headers.get(_HEADER + "Timestamp", "")
    _verify(secrets, incoming.headers.get(_HEADER + "Signature", ""), stamp.encode() + incoming.body)
    require_fresh(stamp, incoming.now, A_DAY)
    found = json(incoming.body)
    if not isinstance(found, list):
        raise Unreadable
    return [event for each in found if (event := _event(members(each)))]


def _verify(secrets: Mapping[str, str], signature: str, signed: bytes) -> None:
    try:
        key = load_der_public_key(decoded(secret(secrets, "webhook_public_key")))
        if not isinstance(key, EllipticCurvePublicKey):
            raise Forged
        key.verify(decoded(signature), signed, ECDSA(SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise Forged from None


def _event(found: dict[str, Any]) -> Event | None:
    name, why = text(found.get("event")), str(found.get("reason", "")).lower()
    is_machine = name == "open" and found.get("sg_machine_open") is True  # Apple's proxy, not a person
    event = _DROPPED.get(why, "failed") if name == "dropped" else _EVENTS.get(name)
    if event is None or is_machine:
        return None
    reference = str(found.get("sg_message_id", "")).partition(".")[0]
    at = instant(found.get("timestamp"))
    return Event(
        id=str(found.get("sg_event_id") or f"{reference}/{name}/{at.timestamp()}"),
        event=event,
        at=at,
        key=our_key(found.get("comms_key")),
        reference=reference or None,
        for_good=event == "bounced" and found.get("type") != "blocked",
        reason=_reason(name, found) if event in {"bounced", "failed"} else None,
    )


def _reason(name: str, found: dict[str, Any]) -> str:
    """`blocked` is the other side's no to this mail; the address is good."""
    return "sendgrid_blocked" if found.get("type") == "blocked" else f"sendgrid_{name}"


KIND = vendor_kind(
    "email",
    SendgridSettings,
    ["api_key"],
    compose,
    read,
    parse_events=parse_events,
    webhook_secrets=["webhook_public_key"],
)
