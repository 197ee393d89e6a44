"""E-mail through Resend, whose idempotency key makes a lost answer safe to ask for again, for 24 hours.

https://resend.com/docs/dashboard/emails/idempotency-keys and /docs/api-reference/errors.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
from comms.providers.mail import HEADERS, Envelope, envelope
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
        "headers": HEADERS,
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


KIND = vendor_kind("email", ResendSettings, ["api_key"], compose, read, key_lasts=_KEY_SECONDS)
