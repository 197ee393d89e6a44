"""Texts through Vonage's SMS API. A lost answer is a doubt: there is no idempotency key.

https://developer.vonage.com/en/api/sms and /en/api-errors/sms. It answers 200 to everything; what
became of each part of a long text stands in the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from comms.domain.segments import segments
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
from comms.providers.vendor import BaseUrl, Meanings, SmsFrom, address, as_form, vendor_kind

_LONGEST = 3200
_SHORTEST_TTL, _LONGEST_TTL = 20_000, 604_800_000  # milliseconds

_MEANINGS = Meanings(
    "vonage",
    bad_recipient={"6": "a prefix that nobody has"},
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
    },
)


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


KIND = vendor_kind("sms", VonageSettings, ["api_key", "api_secret"], compose, read)
