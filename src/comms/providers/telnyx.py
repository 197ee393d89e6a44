"""Texts through Telnyx. A lost answer is a doubt: no idempotency key is confirmed for messages.

https://developers.telnyx.com/api/messaging/send-message and /docs/messaging/messages/error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from comms.domain.segments import segments
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
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
    text = outgoing.content.body
    if segments(text).count > _MOST_SEGMENTS:
        return Rejected("too_large")
    members = {
        "from": settings.from_,
        "messaging_profile_id": settings.messaging_profile_id,
        "to": outgoing.recipient,
        "text": text,
        "tags": [outgoing.key],
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


KIND = vendor_kind("sms", TelnyxSettings, ["api_key"], compose, read)
