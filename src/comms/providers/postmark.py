"""E-mail through Postmark. A lost answer is a doubt: there is no idempotency key.

https://postmarkapp.com/developer/api/email-api and /developer/api/overview#error-codes: the code in the
body is read before the HTTP status, whose numbers it overlaps (code 401 is an unconfirmed sender).

Its webhooks (/developer/webhooks/webhooks-overview) carry no signature: Postmark is given a name and a
password for our address, or a header of its own, and shows them at each call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected
from comms.providers.events import Event, EventName, Incoming
from comms.providers.http import Answer, Request
from comms.providers.mail import Envelope, envelope, own_headers
from comms.providers.signatures import instant, json, members, our_key, require_same, secret, shown, text
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
        1236: "the message stream does not send",
        1480: "the account may not send from our address",
    },
)
_BAD_ADDRESS = ("error parsing 'to'", "invalid 'to'")

_RECORDS: dict[str, tuple[EventName, str]] = {
    "Delivery": ("delivered", "DeliveredAt"),
    "Open": ("opened", "ReceivedAt"),
    "Click": ("clicked", "ReceivedAt"),
    "SpamComplaint": ("complained", "BouncedAt"),
}
"""Each record's event, and the member that says when. Bounce and SubscriptionChange say more."""

_BOUNCES: dict[str, EventName] = {
    "HardBounce": "bounced",
    "BadEmailAddress": "bounced",
    "SoftBounce": "bounced",
    "Blocked": "bounced",  # by the other side's filter: the address is good
    "SpamNotification": "bounced",  # a filter's word; a person's is SpamComplaint
    "Transient": "deferred",  # a delay or a soft rejection, tried again
    "DnsError": "deferred",
    "Unsubscribe": "unsubscribed",
    "SpamComplaint": "complained",
    "VirusNotification": "failed",
    "DMARCPolicy": "failed",
    "ManuallyDeactivated": "failed",  # by somebody at Postmark's console
    "SMTPApiError": "failed",
    "TemplateRenderingFailed": "failed",
}
"""/developer/api/bounce-api#bounce-types. Holiday notices, challenges and the like are passed over."""

_FOR_GOOD = {"HardBounce", "BadEmailAddress"}


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
        "Headers": [{"Name": name, "Value": value} for name, value in own_headers(outgoing).items()],
        "Metadata": {"comms_key": outgoing.key},
        **({"TrackOpens": False, "TrackLinks": "None"} if outgoing.hipaa else {}),
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


def parse_events(_settings: PostmarkSettings, secrets: Mapping[str, str], incoming: Incoming) -> list[Event]:
    """One record a call. Only bounces have an id; the others are known by message, kind and time."""
    require_same(shown(incoming), secret(secrets, "webhook_secret"))
    record = members(json(incoming.body))
    kind = text(record.get("RecordType"))
    if kind == "Bounce":
        return _bounce(record)
    if kind == "SubscriptionChange":
        return _change(record)
    event, when = _RECORDS.get(kind, (None, ""))
    return [_event(record, event, when, None)] if event else []


def _bounce(record: dict[str, Any]) -> list[Event]:
    kind = record.get("Type")
    event = _BOUNCES.get(kind) if isinstance(kind, str) else None
    return (
        [_event(record, event, "BouncedAt", f"postmark_{kind}", for_good=kind in _FOR_GOOD)] if event else []
    )


def _change(record: dict[str, Any]) -> list[Event]:
    """Of the list's changes only the recipient's own word: bounces and complaints have their own records."""
    is_theirs = record.get("SuppressionReason") == "ManualSuppression" and record.get("Origin") == "Recipient"
    if not (is_theirs and record.get("SuppressSending") is True):
        return []
    return [_event(record, "unsubscribed", "ChangedAt", None)]


def _event(
    record: dict[str, Any], event: EventName, when: str, reason: str | None, *, for_good: bool = False
) -> Event:
    reference, at = text(record.get("MessageID")), instant(record.get(when))
    number = record.get("ID") if record.get("RecordType") == "Bounce" else None
    return Event(
        id=f"bounce/{number}" if number else f"{reference}/{record['RecordType']}/{record[when]}",
        event=event,
        at=at,
        key=our_key(members(record.get("Metadata")).get("comms_key")),
        reference=reference,
        for_good=for_good,
        reason=reason,
    )


KIND = vendor_kind(
    "email",
    PostmarkSettings,
    ["server_token"],
    compose,
    read,
    parse_events=parse_events,
    webhook_secrets=["webhook_secret"],
)
