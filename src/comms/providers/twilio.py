"""Texts through Twilio's Messages API. A lost answer is a doubt: there is no idempotency key.

https://www.twilio.com/docs/messaging/api/message-resource and /docs/api/errors. There is no place for
our key either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
from comms.providers.vendor import BaseUrl, Meanings, SmsFrom, address, as_form, basic, vendor_kind

_LONGEST = 1600
_LONGEST_WAIT = 36_000

_MEANINGS = Meanings(
    "twilio",
    bad_recipient={
        21211: "no such number",
        21217: "no such number",
        21614: "no mobile number",
        30005: "nobody has the number",
        30006: "a landline, or a carrier that can't be reached",
    },
    refused={
        21408: "texts to that country are not enabled",
        21602: "no text",
        21610: "the person has opted out: the number is good, and START brings it back",
        21617: "too long",
        30004: "blocked",
        30007: "filtered by a carrier",
    },
    later={20429: "too many requests", 21611: "the sender's queue is full", 30001: "the queue is full"},
    setup={
        10001: "the account is not active",
        20003: "the login is wrong",
        20404: "no such account",
        21212: "the sender is no number",
        21603: "no sender",
        21606: "the sender is not the account's, or can't text",
        21608: "a trial account texts verified numbers only",
        21612: "the sender can't reach that number",
        21659: "the sender is not Twilio's",
        21703: "the messaging service has no sender",
        30002: "the account is suspended",
        30032: "the toll-free sender is not verified",
        30034: "the sender is not registered for 10DLC",
    },
)


class TwilioSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A sender of the account, its messaging service, or both."""

    account_sid: Annotated[str, Meta(pattern=r"^AC[0-9a-fA-F]{32}(?!\n)$")]
    from_: SmsFrom | None = field(default=None, name="from")
    messaging_service_sid: Annotated[str, Meta(pattern=r"^MG[0-9a-fA-F]{32}(?!\n)$")] | None = None
    base_url: BaseUrl = "https://api.twilio.com"

    def __post_init__(self) -> None:
        """One of the two is needed."""
        if not (self.from_ or self.messaging_service_sid):
            raise ValueError("`from` or `messaging_service_sid` must be set")


def compose(settings: TwilioSettings, secrets: Mapping[str, str], outgoing: Outgoing) -> Request | Rejected:
    """POST .../Messages.json, a form; what waits there longer than it is worth is dropped."""
    if len(outgoing.content.body) > _LONGEST:
        return Rejected("too_large")
    fields = {
        "To": outgoing.recipient,
        "From": settings.from_,
        "MessagingServiceSid": settings.messaging_service_sid,
        "Body": outgoing.content.body,
        "ValidityPeriod": str(max(1, min(_LONGEST_WAIT, int(outgoing.lifetime)))),
    }
    url = address(settings.base_url, f"/2010-04-01/Accounts/{settings.account_sid}/Messages.json")
    return Request(url, *as_form(fields, basic(settings.account_sid, secrets["auth_token"])))


def read(answer: Answer) -> Outcome:
    """201 and a sid, or a code. A 5xx says nothing of how far it had come, so it is a doubt."""
    if answer.status in {200, 201}:
        reference = answer.members.get("sid")
        return Accepted(reference) if isinstance(reference, str) else Lost("answer_unreadable")
    return _MEANINGS.of(answer, answer.members.get("code"))


KIND = vendor_kind("sms", TwilioSettings, ["auth_token"], compose, read)
