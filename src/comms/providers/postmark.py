"""E-mail through Postmark. A lost answer is a doubt: there is no idempotency key.

https://postmarkapp.com/developer/api/email-api and /developer/api/overview#error-codes: the code in the
body is read before the HTTP status, whose numbers it overlaps (code 401 is an unconfirmed sender).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
from comms.providers.mail import HEADERS, Envelope, envelope
from comms.providers.vendor import BaseUrl, Meanings, address, as_json, vendor_kind

_LARGEST_BODY = 5 * 1024 * 1024  # of the HTML or the text; a whole message may have 10 MB

_MEANINGS = Meanings(
    "postmark",
    bad_recipient={406: "it bounced or complained before, and Postmark no longer sends to it"},
    later={100: "maintenance", 429: "too many requests"},
    setup={
        10: "the token is wrong",
        400: "the sender is not known there",
        401: "the sender is not confirmed",
        405: "no credits",
        412: "the account waits for its approval",
        413: "the account may not send",
        1235: "there is no such message stream",
    },
)
_BAD_ADDRESS = ("error parsing 'to'", "invalid 'to'")


class PostmarkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`message_stream`: its id; transactional mail goes through `outbound` unless said otherwise."""

    message_stream: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,64}(?!\n)$")] = "outbound"
    base_url: BaseUrl = "https://api.postmarkapp.com"


def compose(
    settings: PostmarkSettings, secrets: Mapping[str, str], outgoing: Outgoing
) -> Request | Rejected | Misconfigured:
    """POST /email; our key goes along as metadata."""
    mail, content = envelope(outgoing), outgoing.content
    if not isinstance(mail, Envelope):
        return mail
    if max(len(content.body.encode()), len((content.text or "").encode())) > _LARGEST_BODY:
        return Rejected("too_large")
    members = {
        "From": str(mail.sender),
        "To": mail.recipient,
        "ReplyTo": mail.reply_to,
        "Subject": mail.subject,
        "HtmlBody": content.body,
        "TextBody": content.text,
        "MessageStream": settings.message_stream,
        "Headers": [{"Name": name, "Value": value} for name, value in HEADERS.items()],
        "Metadata": {"comms_key": outgoing.key},
    }
    login = {"X-Postmark-Server-Token": secrets["server_token"]}
    return Request(address(settings.base_url, "/email"), *as_json(members, login))


def read(answer: Answer) -> Outcome:
    """Code 0 with an id is a mail that was taken."""
    code, reference = answer.members.get("ErrorCode"), answer.members.get("MessageID")
    if answer.status == 200 and code == 0 and isinstance(reference, str):
        return Accepted(reference)
    if answer.status == 503:
        return _MEANINGS.of(answer, 100)  # documented as maintenance; a 500 may or may not have sent
    if answer.status == 200 and (code is None or code == 0):
        return Lost("answer_unreadable")
    if code == 300 and str(answer.members.get("Message")).lower().startswith(_BAD_ADDRESS):
        return Rejected("postmark_300", bad_recipient=True)
    return _MEANINGS.of(answer, code)


KIND = vendor_kind("email", PostmarkSettings, ["server_token"], compose, read)
