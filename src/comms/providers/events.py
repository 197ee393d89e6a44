"""What providers say afterwards: one vocabulary for all of them.

A provider's file reads its own webhook: `parse_events` checks the signature over the raw body and
says what happened in the words below. What follows from it is decided elsewhere. Events come twice,
late and out of order; each carries an id by which it is known again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from comms.domain.keywords import Keyword

EventName = Literal[
    "accepted",
    "delivered",
    "deferred",
    "bounced",
    "complained",
    "opened",
    "clicked",
    "unsubscribed",
    "read",
    "failed",
]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One call of a provider to us, as it came; nothing of it is true before its signature is.

    `address` is the whole address that was asked for, as the provider knows it. `headers` answers to
    any spelling of a name. `now` is by our clock. `documents`: what was read for the parser, by address.
    """

    address: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    now: datetime
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a message that was taken.

    `id` is the provider's own for this event, or made of what tells it from any other, never of a recipient.
    `key` is ours, where it comes back; else `reference` is what the provider called the message when it took
    it. `at` is by the provider's clock. `for_good`: a bounce because there is no such address; a soft one is
    not. `reason` is a short code, never prose.
    """

    id: str
    event: EventName
    at: datetime
    key: str | None = None
    reference: str | None = None
    recipient: str | None = field(default=None, repr=False)
    for_good: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text from a person: STOP, START, HELP, or something else. `keyword`: what the provider takes it for.

    Numbers are E.164; `to` may be a short code.
    """

    id: str
    at: datetime
    sender: str = field(repr=False)
    to: str = field(repr=False)
    text: str = field(repr=False)
    keyword: Keyword | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The provider asks whether the address is ours: it wants `url` to be fetched, once."""

    url: str = field(repr=False)


Happening = Event | Inbound | Confirmation


class Forged(Exception):
    """The signature is missing, wrong or too old, or there is no secret to check it by."""


class Unreadable(Exception):
    """Signed, and not what this provider sends."""


class Wanted(Exception):
    """The signature can't be checked without what stands at `url`: a certificate, say.

    Raised only where that address is the provider's own. `webhooks.Webhooks` reads it, and parses again
    with it among the `documents`: a parser stays a pure function.
    """

    def __init__(self, url: str) -> None:
        super().__init__("a document is wanted")
        self.url = url


class Unavailable(Exception):
    """What was wanted can't be read just now. The provider may call again."""


ParseEvents = Callable[[Any, Mapping[str, str], Incoming], Sequence[Happening]]
"""Of a provider's settings, secrets and one call to us; raises Forged, Unreadable or Wanted, nothing else."""
