"""E-mail through Mailgun. A lost answer is a doubt: there is no idempotency key.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages. The Message-ID is
ours and the same for every attempt, as with SMTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
from comms.providers.mail import HEADERS, Envelope, envelope
from comms.providers.vendor import BaseUrl, Meanings, address, as_form, basic, vendor_kind

_LARGEST = 25 * 1000 * 1000
_MEANINGS = Meanings("mailgun")


class MailgunSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`domain`: the sending domain. `base_url` is https://api.eu.mailgun.net for one in the EU region."""

    domain: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}(?!\n)$")]
    base_url: BaseUrl = "https://api.mailgun.net"


def compose(
    settings: MailgunSettings, secrets: Mapping[str, str], outgoing: Outgoing
) -> Request | Rejected | Misconfigured:
    """POST /v3/{domain}/messages, a form; our key goes along as a variable."""
    mail, content = envelope(outgoing), outgoing.content
    if not isinstance(mail, Envelope):
        return mail
    if len(content.body.encode()) + len((content.text or "").encode()) > _LARGEST:
        return Rejected("too_large")
    fields = {
        "from": str(mail.sender),
        "to": mail.recipient,
        "subject": mail.subject,
        "html": content.body,
        "text": content.text,
        "h:Reply-To": mail.reply_to,
        "h:Message-Id": f"<{outgoing.key}@{settings.domain}>",
        **{f"h:{name}": value for name, value in HEADERS.items()},
        "v:comms_key": outgoing.key,
    }
    url = address(settings.base_url, f"/v3/{settings.domain}/messages")
    return Request(url, *as_form(fields, basic("api", secrets["api_key"])))


def read(answer: Answer) -> Outcome:
    """A refused address is told by a sentence alone, which names the field."""
    if answer.status == 200:
        reference = answer.members.get("id")
        return Accepted(reference.strip("<>")) if isinstance(reference, str) else Lost("answer_unreadable")
    said = str(answer.members.get("message", ""))
    if answer.status == 400 and "not a valid address" in said:
        if "from" in said.partition("not a valid address")[0]:
            return Misconfigured("mailgun_from")
        return Rejected("mailgun_to", bad_recipient=True)
    return _MEANINGS.of(answer)


KIND = vendor_kind("email", MailgunSettings, ["api_key"], compose, read)
