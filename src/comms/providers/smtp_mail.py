"""A mail as it goes to a mail server: its envelope, its headers, its two parts (RFC 5322, RFC 2045)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, Policy
from email.utils import format_datetime
from typing import Any

from comms.domain.recipient import on_the_wire
from comms.providers.base import Outgoing
from comms.providers.mail import HEADERS as OWN
from comms.providers.mail import mailbox, one_line, own_headers


@dataclass(frozen=True, slots=True)
class Mail:
    """An envelope and what is in it. `needs_utf8`: an address has a local part outside ASCII."""

    sender: str
    recipient: str
    content: bytes
    needs_utf8: bool
    key: str = ""


def compose(outgoing: Outgoing, now: datetime, return_path: str | None = None) -> Mail:
    """The mail: plain text and HTML, headers that nothing can be injected into.

    `return_path`: where bounces go; unless it is set, to the brand's own address.
    """
    brand = outgoing.sender
    sender, recipient = on_the_wire(brand.address or ""), on_the_wire(outgoing.recipient)
    needs_utf8 = not (sender + recipient).isascii()
    # Bodies in seven bits: not every relay takes eight, and whoever re-encodes on the way breaks DKIM.
    policy = SMTPUTF8 if needs_utf8 else SMTP
    mail = EmailMessage(policy=policy.clone(cte_type="7bit", header_factory=_HEADERS))
    mail["From"] = mailbox(sender, brand.name or "")
    mail["To"] = mailbox(recipient)
    mail["Subject"] = one_line(outgoing.content.subject or "")
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{outgoing.key}@{sender.rpartition('@')[2]}>"
    for name, value in own_headers(outgoing).items():
        mail[name] = value
    if brand.reply_to:
        mail["Reply-To"] = mailbox(on_the_wire(brand.reply_to))
    mail.set_content(outgoing.content.text or "")
    mail.make_alternative(boundary=f"=_{outgoing.key}")  # the same at every attempt
    mail.add_alternative(outgoing.content.body, subtype="html")
    return Mail(return_path or sender, recipient, mail.as_bytes(), needs_utf8, outgoing.key)


class _Whole(BaseHeader):
    """A header whose value is ours, and fits a line: it is neither parsed nor folded nor encoded."""

    max_count = 1

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        """As it is."""
        kwds["decoded"], kwds["parse_tree"] = value, None

    def fold(self, *, policy: Policy) -> str:
        """One line."""
        return f"{self.name}: {self}{policy.linesep}"


class _Headers(HeaderRegistry):
    """Python's makes a class for each header that it is handed; one for each name is enough."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, type[BaseHeader]] = {}
        for name in ("list-unsubscribe-post", "message-id", "date", *map(str.lower, OWN)):
            self.map_to_type(name, _Whole)
        self.map_to_type(
            "list-unsubscribe", _Whole
        )  # in encoded words it is no address (RFC 2047, section 5)

    def __getitem__(self, name: str) -> type[BaseHeader]:
        """The class for headers of this name, of which there are few: all are ours."""
        if name not in self._made:
            self._made[name] = super().__getitem__(name)
        return self._made[name]


_HEADERS = _Headers()
