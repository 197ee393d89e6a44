"""Texts through Twilio's Messages API. A lost answer is a doubt: there is no idempotency key.

https://www.twilio.com/docs/messaging/api/message-resource and /docs/api/errors. There is no place for
our key but the address that it reports to.

It reports what becomes of a text (/docs/messaging/guides/outbound-message-status-in-status-callbacks) and
texts that come in (/docs/messaging/guides/webhook-request), signed over address and form
(/docs/usage/webhooks/webhooks-security). There is no time in either: that of their arrival counts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from msgspec import Meta, Struct, field

from comms.domain.keywords import Keyword
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.events import Event, EventName, Forged, Happening, Inbound, Incoming, Unreadable
from comms.providers.http import Answer, Request
from comms.providers.signatures import form, our_key
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
    },
    refused={
        21408: "texts to that country are not enabled",
        21602: "no text",
        21610: "the person has opted out: the number is good, and START brings it back",
        21617: "too long",
        30004: "blocked",
        30006: "a landline, or a carrier that can't be reached: which of them is not said",
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

_STATUSES: dict[str, EventName] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "accepted",  # the nearest carrier has it
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
}
"""`canceled` and `partially_delivered` are not of what we send."""

_NOBODYS = {"30005", "21211", "21217", "21614"}
"""Nobody has the number, or it takes no texts. 30006 may be a carrier out of reach: the number stays good."""

_HAS_STOPPED = "21610"

_KEYWORDS: dict[str, Keyword] = {"STOP": "stop", "START": "start", "HELP": "help"}
"""`OptOutType`, where Advanced Opt-Out is on: its words may be the account's own."""

_DEFAULT_PORTS = {"https": 443, "http": 80}

_NO_REPLY = ("text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>')
"""TwiML that does nothing: JSON for a text would be error 12300 at the console."""


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
        "StatusCallback": f"{outgoing.events_url}?key={quote(outgoing.key)}" if outgoing.events_url else None,
    }
    url = address(settings.base_url, f"/2010-04-01/Accounts/{settings.account_sid}/Messages.json")
    return Request(url, *as_form(fields, basic(settings.account_sid, secrets["auth_token"])))


def read(answer: Answer) -> Outcome:
    """201 and a sid, or a code. A 5xx says nothing of how far it had come, so it is a doubt."""
    if answer.status in {200, 201}:
        reference = answer.members.get("sid")
        return Accepted(reference) if isinstance(reference, str) else Lost("answer_unreadable")
    return _MEANINGS.of(answer, answer.members.get("code"))


def parse_events(
    _settings: TwilioSettings, secrets: Mapping[str, str], incoming: Incoming
) -> list[Happening]:
    """One status, or one text, a call. Fields are added without notice: all that come are signed."""
    fields = form(incoming.body)
    _verify(secrets.get("auth_token", ""), incoming, fields)
    said = dict(fields)
    if "MessageStatus" in said:
        return list(_reported(said, incoming))
    if "MessageSid" in said and "Body" in said:
        return [_text(said, incoming)]
    raise Unreadable


def _verify(auth_token: str, incoming: Incoming, fields: list[tuple[str, str]]) -> None:
    """Over the address as Twilio knows it: its own libraries, too, try it with and without the port."""
    signed = "".join(name + value for name, value in sorted(set(fields)))
    given = incoming.headers.get("X-Twilio-Signature", "").encode()
    fits = [
        hmac.compare_digest(given, base64.b64encode(hmac.digest(auth_token.encode(), each, hashlib.sha1)))
        for each in ((address + signed).encode() for address in _spellings(incoming.address))
    ]
    if not auth_token or not any(fits):
        raise Forged


def _spellings(address: str) -> list[str]:
    parts = urlsplit(address)
    host = parts.hostname or ""
    port = f"{host}:{_DEFAULT_PORTS.get(parts.scheme, 443)}"
    return [address, *(urlunsplit(parts._replace(netloc=each)) for each in (host, port))]


def _reported(said: dict[str, str], incoming: Incoming) -> Iterator[Event]:
    """A number that has stopped texts of this account is told twice: of the text, and of the person."""
    status, code, reference = said["MessageStatus"], said.get("ErrorCode", ""), said.get("MessageSid", "")
    event = _STATUSES.get(status)
    if event is None or not reference:
        return
    is_nobodys = event == "failed" and code in _NOBODYS
    told = Event(
        id=f"{reference}/{status}",
        event="bounced" if is_nobodys else event,
        at=incoming.now,
        key=our_key(parse_qs(urlsplit(incoming.address).query).get("key", [""])[0]),
        reference=reference,
        for_good=is_nobodys,
        reason=f"twilio_{code}" if event == "failed" and code.isdecimal() and len(code) <= 6 else None,
    )
    yield told
    if code == _HAS_STOPPED:
        yield replace(told, id=f"{reference}/stop", event="unsubscribed")


def _text(said: dict[str, str], incoming: Incoming) -> Inbound:
    return Inbound(
        id=said["MessageSid"],
        at=incoming.now,
        sender=said.get("From", ""),
        to=said.get("To", ""),
        text=said["Body"],
        keyword=_KEYWORDS.get(said.get("OptOutType", "")),
    )


KIND = vendor_kind(
    "sms",
    TwilioSettings,
    ["auth_token"],
    compose,
    read,
    parse_events=parse_events,
    echoes_key=False,  # without COMMS_PUBLIC_URL it is the messaging service that names our address
    thanks=_NO_REPLY,
)
