"""Texts through Vonage's SMS API. A lost answer is a doubt: there is no idempotency key.

https://developer.vonage.com/en/api/sms and /en/api-errors/sms. It answers 200 to everything; what
became of each part of a long text stands in the body.

Its webhooks (/en/messaging/sms/guides/delivery-receipts, .../inbound-sms) are signed where the account has
that switched on, over all their members in order (/en/getting-started/concepts/signing-messages): by HMAC
with SHA-256 or SHA-512, since MD5 and SHA-1 are not taken. They are tried for a day.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from comms.domain.segments import segments
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.events import Event, EventName, Forged, Happening, Inbound, Incoming, Unreadable
from comms.providers.http import Answer, Request
from comms.providers.signatures import (
    A_DAY,
    form,
    instant,
    json,
    our_key,
    require_fresh,
    require_same,
    secret,
)
from comms.providers.vendor import BaseUrl, Meanings, SmsFrom, address, as_form, vendor_kind

_LONGEST = 3200
_SHORTEST_TTL, _LONGEST_TTL = 20_000, 604_800_000  # milliseconds

_MEANINGS = Meanings(
    "vonage",
    bad_recipient={"6": "a prefix that nobody has", "33": "the number is out of use"},
    refused={
        "2": "something is missing",
        "3": "something is wrong",
        "7": "the number is barred: it is good, and may be let in again",
        "12": "too long",
    },
    later={"1": "too many requests", "5": "an error of the platform", "10": "too many connections"},
    setup={
        "4": "the login is wrong",
        "8": "the account is barred",
        "9": "no credit",
        "11": "the account has no SMS API",
        "14": "the signature is wrong",
        "15": "the sender is not allowed there",
        "22": "the network is not allowed for this account",
        "23": "the address for receipts is none",
        "29": "a trial account texts verified numbers only",
        "32": "the account signs, and has no secret",
    },
)

_STATUSES: dict[str, EventName] = {
    "accepted": "accepted",
    "buffered": "accepted",
    "delivered": "delivered",
    "expired": "failed",
    "failed": "failed",
    "rejected": "failed",
}
"""`unknown` says nothing."""

_NOBODYS = {"3", "9"}
"""Absent for good, which that page would have removed from one's records, and an illegal number
(/en/messaging/sms/guides/delivery-receipts#dlr-error-codes; read again on 2026-11-25)."""

_HASHES = {64: "sha256", 128: "sha512"}
"""By the digits of a signature."""

_IN_A_VALUE = str.maketrans("&=", "__")


class VonageSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`from`: a number of the account, or a name where the country allows it."""

    from_: SmsFrom = field(name="from")
    base_url: BaseUrl = "https://rest.nexmo.com"


def compose(settings: VonageSettings, secrets: Mapping[str, str], outgoing: Outgoing) -> Request | Rejected:
    """POST /sms/json, a form; numbers go without their plus."""
    text = outgoing.content.body
    if len(text) > _LONGEST:
        return Rejected("too_large")
    fields = {
        "api_key": secrets["api_key"],
        "api_secret": secrets["api_secret"],
        "from": settings.from_.removeprefix("+"),
        "to": outgoing.recipient.removeprefix("+"),
        "text": text,
        "type": "text" if segments(text).encoding == "GSM-7" else "unicode",
        "ttl": str(max(_SHORTEST_TTL, min(_LONGEST_TTL, int(outgoing.lifetime * 1000)))),
        "client-ref": outgoing.key,
        "callback": outgoing.events_url if secrets.get("webhook_secret") else None,
    }
    return Request(address(settings.base_url, "/sms/json"), *as_form(fields, {}))


def read(answer: Answer) -> Outcome:
    """Every part has its status. Where some went and some did not, a second call would be half a double."""
    if answer.status != 200:
        return _MEANINGS.of(answer)
    parts = _parts(answer)
    if not parts:
        return Lost("answer_unreadable")
    refused = [str(part.get("status")) for part in parts if str(part.get("status")) != "0"]
    if not refused:
        reference = parts[0].get("message-id")
        return Accepted(reference if isinstance(reference, str) else None)
    if len(refused) < len(parts):
        return Lost("vonage_partly_taken")
    outcome = _MEANINGS.of(answer, refused[0])
    return Rejected("vonage_status_unknown") if isinstance(outcome, Lost) else outcome


def _parts(answer: Answer) -> list[dict[str, Any]]:
    found = answer.members.get("messages")
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def parse_events(
    _settings: VonageSettings, secrets: Mapping[str, str], incoming: Incoming
) -> list[Happening]:
    """One receipt, or one text, a call. A receipt is known by message and status: it has no id of its own."""
    said = _said(incoming)
    _verify(secrets, incoming, said)
    reference = said.get("messageId", "")
    at = instant(said["message-timestamp"]) if "message-timestamp" in said else incoming.now
    if not reference:
        raise Unreadable
    if "status" in said:
        return _reported(said, reference, at)
    to, text = said.get("to", ""), said.get("text", "")
    return [Inbound(id=reference, at=at, sender=f"+{said.get('msisdn', '')}", to=f"+{to}", text=text)]


def _said(incoming: Incoming) -> dict[str, str]:
    """A form or JSON, as the account has chosen."""
    if not incoming.headers.get("Content-Type", "").startswith("application/json"):
        return dict(form(incoming.body))
    try:
        found = json(incoming.body)
    except Unreadable:
        raise Forged from None
    if not isinstance(found, dict):
        raise Forged
    return {name: str(value) for name, value in found.items()}


def _verify(secrets: Mapping[str, str], incoming: Incoming, said: dict[str, str]) -> None:
    given = said.get("sig", "").lower()
    signed = "".join(
        f"&{name}={value.translate(_IN_A_VALUE)}" for name, value in sorted(said.items()) if name != "sig"
    )
    key = secret(secrets, "webhook_secret").encode()
    if len(given) not in _HASHES:
        raise Forged
    require_same(given, hmac.new(key, signed.encode(), _HASHES[len(given)]).hexdigest())
    require_fresh(said.get("timestamp", ""), incoming.now, A_DAY)


def _reported(said: dict[str, str], reference: str, at: datetime) -> list[Happening]:
    event, code = _STATUSES.get(said["status"]), said.get("err-code", "")
    if event is None:
        return []
    is_nobodys = event == "failed" and code in _NOBODYS
    return [
        Event(
            id=f"{reference}/{said['status']}",
            event="bounced" if is_nobodys else event,
            at=at,
            key=our_key(said.get("client-ref")),
            reference=reference,
            for_good=is_nobodys,
            reason=f"vonage_dlr_{code}"
            if event == "failed" and code.isdecimal() and len(code) <= 6
            else None,
        )
    ]


KIND = vendor_kind(
    "sms",
    VonageSettings,
    ["api_key", "api_secret"],
    compose,
    read,
    parse_events=parse_events,
    webhook_secrets=["webhook_secret"],
)
