"""Subscriptions to a brand's events."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, UnsetType

from comms.domain.outside import LONGEST
from comms.http.shapes.common import Identifier, Instant, Name

EventType = Literal[
    "*",
    "consent.changed",
    "message.accepted",
    "message.bounced",
    "message.cancelled",
    "message.clicked",
    "message.complained",
    "message.deferred",
    "message.delivered",
    "message.expired",
    "message.failed",
    "message.opened",
    "message.read",
    "message.rescheduled",
    "message.retried",
    "message.sent",
    "message.settled",
    "message.suppressed",
    "message.unknown",
    "message.unsubscribed",
    "preference.changed",
    "suppression.added",
    "suppression.lifted",
]
Url = Annotated[str, Meta(min_length=1, max_length=LONGEST, extra_json_schema={"format": "uri"})]
Events = Annotated[list[EventType], Meta(min_length=1, max_length=50)]


class NewSubscription(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose events, which, and where they are sent; `*` is all of them."""

    brand_id: Name
    url: Url
    events: Events


class PutSubscription(Struct, frozen=True, forbid_unknown_fields=True):
    """What it shall be."""

    url: Url
    events: Events
    enabled: bool = True


class Subscription(Struct, frozen=True):
    """A subscription, and how it is doing: `missed` counts the events that were given up after a day."""

    id: Identifier
    brand_id: str
    url: str
    events: list[str]
    state: Literal["healthy", "failing", "disabled"]
    failing_since: str | None
    disabled_at: str | None
    disabled_reason: Literal["gone", "on_request"] | None
    problem: str | None
    missed: int
    created_at: str
    updated_at: str


class MadeSubscription(Subscription, frozen=True):
    """The same with its secret, which is shown this once."""

    secret: str


class SubscriptionList(Struct, frozen=True, omit_defaults=True):
    """Newest first."""

    data: list[Subscription]
    next_cursor: str | UnsetType | None = None


class Rotate(Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds the old secret signs as well."""

    overlap: Annotated[int, Meta(ge=0, le=604_800)] = 86_400


class Rotated(Struct, frozen=True):
    """The new secret, which is shown this once, and until when the old one signs, too."""

    secret: str
    old_until: str


class Tested(Struct, frozen=True):
    """What became of a test: `status` is the receiver's, null where it did not answer."""

    delivered: bool
    status: int | None
    problem: str | None


class Replay(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Of which time; `from` is included, `to` is not."""

    since: Instant
    until: Instant


class Replayed(Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """A replay under way."""

    id: Identifier
    since: str
    until: str
