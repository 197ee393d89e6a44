"""E-mail through SendGrid's v3 API. A lost answer is a doubt: there is no idempotency key.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send. Our key goes along as a custom
argument; SendGrid keeps those for long and shows them to its staff, so nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import parsedate_to_datetime

from msgspec import Struct

from comms.providers.base import Accepted, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.http import Answer, Request
from comms.providers.mail import HEADERS, Envelope, envelope
from comms.providers.vendor import BaseUrl, Meanings, address, as_json, bearer, retry_after, vendor_kind

_LARGEST = 30 * 1024 * 1024
_MEANINGS = Meanings("sendgrid")


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
        "headers": HEADERS,
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


KIND = vendor_kind("email", SendgridSettings, ["api_key"], compose, read)
