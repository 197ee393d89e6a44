"""The protocol that every provider follows, and the five answers it may give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable
from uuid import UUID

from comms.domain.content import Plain, Rendered, Sealed


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a message comes from: the brand's sender for the channel."""

    address: str | None = None
    name: str | None = None
    reply_to: str | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """What a push goes to: a token, the service that knows it (None: it was never registered), the app."""

    token: str
    kind: str | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One delivery, ready to hand over. `key` is the same for every attempt."""

    message_id: UUID
    key: str
    brand_id: str
    person_id: str
    channel: str
    provider_id: str
    recipient: str
    content: Rendered
    sender: Sender = field(default_factory=Sender)
    category: str = "transactional"
    hipaa: bool = False
    attempt: int = 1
    lifetime: float = 14_400.0
    """Seconds for which the message is still worth delivering."""
    seconds: float = 8.0
    """How long `send` may take, all in all. Soon after that its answer is taken for lost."""
    device: Device | None = None
    """For a push; its token is the recipient."""
    events_url: str | None = field(default=None, repr=False)
    """Where the provider may report what becomes of it; None: nobody outside knows our address."""
    seal: Callable[[Plain, str], Sealed] | None = None
    """How what stays with us of it is sealed, as a field of the message, under the person's key."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it. `reference` is its own id for the message."""

    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Refused for good. `reason` is a short code, never the recipient or the provider's prose.

    `bad_recipient`: nobody is there, and nobody will be: an address is suppressed, a device forgotten,
    unless it was registered again after `since`, where the provider says since when.
    """

    reason: str
    bad_recipient: bool = False
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class TryLater:
    """Certainly not taken, and worth another attempt, `after` seconds at the earliest."""

    reason: str
    after: float | None = None
    of_message: bool = False
    """It is this recipient's affair, as with greylisting: nothing follows for others or the next."""


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Certainly not taken, because our own set-up is wrong (credentials, certificate, sender)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The provider was called and its answer never came: it may have been taken."""

    reason: str
    of_message: bool = False
    """Nothing follows for others: only the sandbox can know that."""


Outcome = Accepted | Rejected | TryLater | Misconfigured | Lost


class Provider(Protocol):
    """One account at one provider. Built by `catalogue.build`, shared by all deliveries."""

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand one delivery over, once, within `outgoing.seconds`; no retries.

        Never raises for what the provider says. What stopped it before the provider could have taken
        anything is TryLater or Misconfigured; an exception counts as Lost, since nobody knows.
        """
        ...

    async def close(self) -> None:
        """Release connections. The provider is not used afterwards."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A provider that also hears, on a line that it keeps while nothing is sent."""

    def listen(self, provider_id: str) -> None:
        """Open the line, once, and keep it: what the other side says is heard under this name."""
        ...
