"""What comes back by mail: delivery reports (RFC 3464) and complaints (RFC 5965), as `multipart/report`.

A mail server hands each over as it is, with the provider's password. Anybody can send a mail to the address
that reports go to; so nothing in it counts but our key, which only the recipient and the servers on the way
can know: as the envelope's id where all of them keep that (RFC 3461, section 4.4), else in the Message-ID of
the mail that came back. Who forges with it what was heard of a mail can do so of the own mail alone.

The mail is cut in pieces and not parsed whole: Python's parser takes seconds for what a stranger can nest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

from comms.providers.events import Event, EventName, Incoming, Unreadable
from comms.providers.signatures import our_key, require_same, secret, shown

NO_SUCH_MAILBOX = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
"""RFC 3463 and RFC 7505: nobody has the address. Other codes are about the mail or its server."""

_ACTIONS: dict[str, EventName] = {
    "failed": "bounced",
    "delayed": "deferred",
    "delivered": "delivered",
    "relayed": "accepted",  # to a server that reports nothing
    "expanded": "accepted",  # to a list
}
_STATUS = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})\b")
_MESSAGE_ID = re.compile(r"<([0-9a-f-]{38,50})@")
_BLANK = re.compile(rb"\r?\n\r?\n")
_MOST_PARTS = 10
_MOST_RECIPIENTS = 10  # ours has one
_HEADERS = HeaderParser()


def parse_events(_settings: Any, secrets: Mapping[str, str], incoming: Incoming) -> list[Event]:
    """One mail a call, whatever its Content-Type says. Of what is no report there is nothing to tell."""
    require_same(shown(incoming), secret(secrets, "webhook_secret"))
    try:
        return list(_events(incoming))
    except (ValueError, LookupError, RecursionError, TypeError):
        raise Unreadable from None


def _events(incoming: Incoming) -> Iterator[Event]:
    head, pieces = _cut(incoming.body)
    report = _with(pieces, "message/delivery-status")
    back = _with(pieces, "text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers")
    said = _message_id(back)
    at = _time(head.get("Date"), incoming.now)
    mail = sha256((head.get("Message-ID") or "").encode("latin-1") or incoming.body).hexdigest()
    if report is not None:
        about, *recipients = _groups(report)
        key = our_key(about.get("Original-Envelope-Id", "").strip()) or said
        for number, group in enumerate(recipients[:_MOST_RECIPIENTS]):
            if (event := _ACTIONS.get(group.get("Action", "").strip().lower())) and key:
                yield _event(f"{mail}/{number}", event, _time(group.get("Last-Attempt-Date"), at), key, group)
    elif said and _is_complaint(_with(pieces, "message/feedback-report")):
        yield Event(mail, "complained", at, said)


def _event(id_: str, event: EventName, at: datetime, key: str, group: Message) -> Event:
    found = _STATUS.match(group.get("Status", ""))
    status = found[1] if found else ""
    reason = f"smtp_{status}" if status and not status.startswith("2") else None
    return Event(
        id_, event, at, key, for_good=event == "bounced" and status in NO_SUCH_MAILBOX, reason=reason
    )


def _is_complaint(feedback: bytes | None) -> bool:
    """RFC 5965, section 3.1. Other types are about mail that no person has judged."""
    kind = _headers(feedback).get("Feedback-Type", "") if feedback else ""
    return kind.strip().lower() in {"abuse", "fraud"}


def _cut(mail: bytes) -> tuple[Message, list[tuple[str, bytes]]]:
    """The mail's own headers, and of a report each part's type and content."""
    head, body = _halves(mail)
    headers = _headers(head)
    boundary = headers.get_boundary()
    if headers.get_content_type() != "multipart/report" or not boundary:
        return headers, []
    between = re.compile(
        rb"(?:^|\r?\n)--" + re.escape(boundary.encode("latin-1")) + rb"(?:--)?[ \t]*(?:\r?\n|$)"
    )
    parts = [_halves(piece) for piece in between.split(b"\n" + body, _MOST_PARTS)[1:]]
    return headers, [(_headers(part).get_content_type(), content) for part, content in parts]


def _halves(text: bytes) -> tuple[bytes, bytes]:
    """Before and after the first blank line; a part may begin with it."""
    if text.startswith((b"\n", b"\r\n")):
        return b"", text.lstrip(b"\r\n")
    blank = _BLANK.search(text)
    return (text[: blank.start()], text[blank.end() :]) if blank else (text, b"")


def _groups(report: bytes) -> list[Message]:
    """Fields about the mail, then about each recipient, with blank lines between (RFC 3464, section 2.1)."""
    return [_headers(group) for group in _BLANK.split(report.strip(b"\r\n"), _MOST_RECIPIENTS + 1)]


def _with(pieces: list[tuple[str, bytes]], *kinds: str) -> bytes | None:
    return next((content for kind, content in pieces if kind in kinds), None)


def _message_id(back: bytes | None) -> str | None:
    """Our key, of the mail that came back."""
    found = _MESSAGE_ID.search(_headers(_halves(back)[0]).get("Message-ID", "")) if back else None
    return our_key(found[1]) if found else None


def _headers(text: bytes) -> Message:
    return _HEADERS.parsestr(text.decode("latin-1"))  # each byte is a character: nothing can fail


def _time(text: str | None, otherwise: datetime) -> datetime:
    """RFC 5322's, where it is one and not of tomorrow."""
    try:
        found = parsedate_to_datetime(text or "")
    except (TypeError, ValueError):
        return otherwise
    return min(found if found.tzinfo else found.replace(tzinfo=UTC), otherwise)
