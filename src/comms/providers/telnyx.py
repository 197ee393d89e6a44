"""Texts through Telnyx. A lost answer is a doubt: no idempotency key is confirmed for messages.

https://developers.telnyx.com/api/messaging/send-message, /docs/messaging/messages/error-codes (40xxx) and
/development/api-fundamentals/api-errors (10xxx), read again on 2026-11-25.

Its webhooks (/docs/messaging/messages/receiving-webhooks) are signed by Ed25519 over time and body, each
attempt anew, and want an answer within two seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct, field

from comms.domain.segments import segments
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.events import Event, EventName, Forged, Happening, Inbound, Incoming
from comms.providers.http import Answer, Request
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
from comms.providers.vendor import BaseUrl, Meanings, SmsFrom, address, as_json, bearer, vendor_kind

_MOST_SEGMENTS = 10

_MEANINGS = Meanings(
    "telnyx",
    bad_recipient={
        "10002": "no number",
        "10016": "no number in E.164",
        "40001": "a landline, or nobody's",
        "40310": "no such number",
    },
    refused={
        "40005": "too late",
        "40008": "the carrier did not take it",
        "40009": "the text",
        "40300": "the person has opted out: the number is good, and START brings it back",
        "40302": "too long",
    },
    later={
        "10011": "too many requests",
        "40002": "taken for spam for now",
        "40004": "refused by the carrier without a reason",
        "40006": "the carrier is down",
        "40011": "too many requests",
    },
    setup={
        "10001": "the sender is not active",
        "10009": "the key is wrong",
        "10010": "the key may not do this",
        "40003": "a carrier has blocked the sender",
        "40305": "the sender is not the account's",
        "40306": "a name as a sender is not set up",
        "40312": "the messaging profile is off",
    },
)

_STATUSES: dict[str, EventName] = {
    "queued": "accepted",
    "sending": "accepted",
    "sent": "accepted",
    "delivered": "delivered",
    "sending_failed": "failed",
    "delivery_failed": "failed",
    "expired": "failed",
}
"""`delivery_unconfirmed` means that no receipt ever came, which says nothing."""

_NOBODYS = {"40001", "40310"}
_HAS_STOPPED = "40300"


class TelnyxSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A sender of the account, its messaging profile, or both: a name as a sender needs both."""

    from_: SmsFrom | None = field(default=None, name="from")
    messaging_profile_id: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f-]{1,64}(?!\n)$")] | None = None
    base_url: BaseUrl = "https://api.telnyx.com"

    def __post_init__(self) -> None:
        """One of the two is needed."""
        if not (self.from_ or self.messaging_profile_id):
            raise ValueError("`from` or `messaging_profile_id` must be set")


def compose(settings: TelnyxSettings, secrets: Mapping[str, str], outgoing: Outgoing) -> Request | Rejected:
    """POST /v2/messages; our key goes along as a tag."""
    body = outgoing.content.body
    if segments(body).count > _MOST_SEGMENTS:
        return Rejected("too_large")
    members = {
        "from": settings.from_,
        "messaging_profile_id": settings.messaging_profile_id,
        "to": outgoing.recipient,
        "text": body,
        "tags": [outgoing.key],
        "webhook_url": outgoing.events_url if secrets.get("webhook_public_key") else None,
    }
    return Request(address(settings.base_url, "/v2/messages"), *as_json(members, bearer(secrets["api_key"])))


def read(answer: Answer) -> Outcome:
    """`data.id`, or a list of errors whose first one counts."""
    if answer.status == 200:
        reference = _first(answer.members.get("data")).get("id")
        return Accepted(reference) if isinstance(reference, str) else Lost("answer_unreadable")
    return _MEANINGS.of(answer, str(_first(answer.members.get("errors")).get("code")))


def _first(found: Any) -> dict[str, Any]:
    each = found[0] if isinstance(found, list) and found else found
    return each if isinstance(each, dict) else {}


def parse_events(
    _settings: TelnyxSettings, secrets: Mapping[str, str], incoming: Incoming
) -> list[Happening]:
    """One a call, known by its id."""
    _verify(secrets, incoming)
    data = members(members(json(incoming.body)).get("data"))
    name, payload = text(data.get("event_type")), members(data.get("payload"))
    if name == "message.received":
        return [_text(data, payload)]
    return list(_reported(data, payload)) if name in {"message.sent", "message.finalized"} else []


def _verify(secrets: Mapping[str, str], incoming: Incoming) -> None:
    stamp = incoming.headers.get("telnyx-timestamp", "")
    signed = stamp.encode() + b"|" + incoming.body
    try:
        key = Ed25519PublicKey.from_public_bytes(decoded(secret(secrets, "webhook_public_key")))
        key.verify(decoded(incoming.headers.get("telnyx-signature-ed25519", "")), signed)
    except (InvalidSignature, ValueError):
        raise Forged from None
    require_fresh(stamp, incoming.now, MINUTES)


def _reported(data: dict[str, Any], payload: dict[str, Any]) -> Iterator[Event]:
    """A number that has stopped texts of this profile is told twice: of the text, and of the person."""
    event = _STATUSES.get(str(_first(payload.get("to")).get("status")))
    if event is None:
        return
    code = str(_first(payload.get("errors")).get("code", ""))
    is_nobodys = event == "failed" and code in _NOBODYS
    tags = payload.get("tags")
    keys = filter(None, map(our_key, tags if isinstance(tags, list) else []))
    told = Event(
        id=text(data.get("id")),
        event="bounced" if is_nobodys else event,
        at=instant(data.get("occurred_at")),
        key=next(keys, None),
        reference=text(payload.get("id")),
        for_good=is_nobodys,
        reason=f"telnyx_{code}" if event == "failed" and code.isdecimal() and len(code) <= 6 else None,
    )
    yield told
    if code == _HAS_STOPPED:
        yield replace(told, id=f"{told.id}/stop", event="unsubscribed")


def _text(data: dict[str, Any], payload: dict[str, Any]) -> Inbound:
    return Inbound(
        id=text(data.get("id")),
        at=instant(data.get("occurred_at")),
        sender=text(members(payload.get("from")).get("phone_number")),
        to=text(_first(payload.get("to")).get("phone_number")),
        text=str(payload.get("text") or ""),
    )


KIND = vendor_kind(
    "sms",
    TelnyxSettings,
    ["api_key"],
    compose,
    read,
    parse_events=parse_events,
    webhook_secrets=["webhook_public_key"],
)
