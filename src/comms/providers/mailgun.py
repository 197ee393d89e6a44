"""E-mail through Mailgun. A lost answer is a doubt: there is no idempotency key.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages. The Message-ID is
ours and the same for every attempt, as with SMTP.

Its webhooks (/docs/mailgun/user-manual/webhooks/securing-webhooks) sign a time and a token, not what they
say: a token counts once. They are tried for eight hours.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected
from comms.providers.events import Event, EventName, Forged, Incoming, Unreadable
from comms.providers.http import Answer, Request
from comms.providers.mail import Envelope, envelope, own_headers
from comms.providers.signatures import (
    A_DAY,
    instant,
    json,
    members,
    our_key,
    require_fresh,
    require_same,
    secret,
    text,
)
from comms.providers.vendor import BaseUrl, Meanings, address, as_form, basic, vendor_kind

_LARGEST = 25 * 1000 * 1000
_MEANINGS = Meanings("mailgun")

_EVENTS: dict[str, EventName] = {
    "accepted": "accepted",
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "unsubscribed": "unsubscribed",
    "complained": "complained",
    "rejected": "failed",  # by Mailgun itself
}
"""`failed` says how: severity temporary is tried again, else the reason counts."""

_FAILED: dict[str, EventName] = {
    "suppress-bounce": "bounced",  # earlier, to anybody's mail from this domain
    "suppress-complaint": "complained",
    "suppress-unsubscribe": "unsubscribed",
}
_FOR_GOOD = {"bounce", "suppress-bounce"}


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
        **{f"h:{name}": value for name, value in own_headers(outgoing).items()},
        "v:comms_key": outgoing.key,
        "o:tracking": "no" if outgoing.hipaa else None,
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


def parse_events(_settings: MailgunSettings, secrets: Mapping[str, str], incoming: Incoming) -> list[Event]:
    """One a call, known by its token: ids of events are unique for a day only."""
    found = _checked(secrets, incoming)
    data = members(found.get("event-data"))
    name, why = text(data.get("event")), str(data.get("reason", ""))
    event = _failed(data, why) if name == "failed" else _EVENTS.get(name)
    if event is None:
        return []
    is_soft = members(data.get("delivery-status")).get("bounce-type") == "soft"
    reference = members(members(data.get("message")).get("headers")).get("message-id")
    return [
        Event(
            id=str(found["signature"]["token"]),
            event=event,
            at=instant(data.get("timestamp")),
            key=our_key(members(data.get("user-variables")).get("comms_key")),
            reference=reference if isinstance(reference, str) else None,
            for_good=event == "bounced" and why in _FOR_GOOD and not is_soft,
            reason=f"mailgun_{name}" if event in {"bounced", "failed"} else None,
        )
    ]


def _checked(secrets: Mapping[str, str], incoming: Incoming) -> dict[str, Any]:
    """The body, whose signature stands in it."""
    try:
        found = members(json(incoming.body))
    except Unreadable:
        raise Forged from None
    signature = members(found.get("signature"))
    stamp, token, given = (str(signature.get(name, "")) for name in ("timestamp", "token", "signature"))
    key = secret(secrets, "webhook_secret").encode()
    require_same(given, hmac.digest(key, f"{stamp}{token}".encode(), hashlib.sha256).hex())
    require_fresh(stamp, incoming.now, A_DAY)
    return found


def _failed(data: dict[str, Any], why: str) -> EventName:
    return "deferred" if data.get("severity") == "temporary" else _FAILED.get(why, "bounced")


KIND = vendor_kind(
    "email",
    MailgunSettings,
    ["api_key"],
    compose,
    read,
    parse_events=parse_events,
    webhook_secrets=["webhook_secret"],
)
