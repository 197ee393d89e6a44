"""What every way to send an e-mail has in common: its addresses, its own headers."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address
from typing import NamedTuple

from comms.domain.recipient import on_the_wire
from comms.providers.base import Misconfigured, Outgoing, Rejected

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

HEADERS = {"Auto-Submitted": "auto-generated"}
"""RFC 3834: no holiday notices, please."""


class Envelope(NamedTuple):
    """Who an e-mail comes from and goes to. All is ASCII but the name."""

    sender: Address
    recipient: str
    reply_to: str | None
    subject: str


def envelope(outgoing: Outgoing) -> Envelope | Rejected | Misconfigured:
    """Refused where an address needs SMTPUTF8 (RFC 6531), which no vendor's API promises."""
    brand = outgoing.sender
    if not brand.address:
        return Misconfigured("no_sender")
    try:
        sender = mailbox(on_the_wire(brand.address), brand.name or "")
        recipient = mailbox(on_the_wire(outgoing.recipient)).addr_spec
        reply_to = mailbox(on_the_wire(brand.reply_to)).addr_spec if brand.reply_to else None
    except (ValueError, MessageError):
        return Rejected("not_composable")
    if not (sender.addr_spec + recipient + (reply_to or "")).isascii():
        return Rejected("smtputf8_not_supported")
    return Envelope(sender, recipient, reply_to, one_line(outgoing.content.subject or ""))


def own_headers(outgoing: Outgoing) -> dict[str, str]:
    """What we add to every mail; and where one click unsubscribes (RFC 2369, RFC 8058), where it may."""
    url = outgoing.content.unsubscribe_url
    if url is None:
        return dict(HEADERS)
    return {
        **HEADERS,
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def mailbox(address: str, name: str = "") -> Address:
    """An address with a name before it, quoted where it must be (RFC 5322, section 3.4)."""
    local, _, domain = one_line(address).rpartition("@")
    return Address(one_line(name), username=local, domain=domain)


def one_line(text: str) -> str:
    """Without line breaks and other control characters: nothing gets into a header."""
    return _UNSAFE.sub(" ", text)
