"""What a brand is set up with: its zone, its senders, the routes of its messages."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from comms.domain import zones
from comms.domain.errors import Refused
from comms.domain.permission import TRANSACTIONAL
from comms.domain.recipient import normalise

Channel = Literal["email", "sms", "push", "in_app"]
ProviderId = Annotated[str, Meta(min_length=1, max_length=255)]
Weight = Annotated[int, Meta(ge=1, le=1000)]
Line = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$")
]
WallTime = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$")]
Days = Annotated[int, Meta(ge=1, le=36_500)]
Locale = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*(?!\n)$", max_length=35)]


class EmailSender(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who e-mails come from."""

    address: str
    name: Line | None = None
    reply_to: str | None = None

    def __post_init__(self) -> None:
        """Addresses are checked as recipients are."""
        _check("email", self.address, "address must be one e-mail address")
        if self.reply_to is not None:
            _check("email", self.reply_to, "reply_to must be one e-mail address")


class SmsSender(Struct, frozen=True, forbid_unknown_fields=True):
    """The number that texts come from: E.164, a short code, or a name of eleven characters (GSM 03.38)."""

    number: Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11})(?!\n)$")]


class Senders(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A sender a channel that needs one."""

    email: EmailSender | None = None
    sms: SmsSender | None = None

    def of(self, channel: str) -> EmailSender | SmsSender | None:
        """The sender of `channel`; push and in_app need none."""
        return {"email": self.email, "sms": self.sms}.get(channel)


class Routes(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A channel's providers, in the order in which they are tried."""

    email: list[ProviderId] = []
    sms: list[ProviderId] = []
    push: list[ProviderId] = []
    in_app: list[ProviderId] = []

    def of(self, channel: str) -> list[str]:
        """The route of `channel`."""
        route: list[str] = getattr(self, channel)
        return route


class RouteWeights(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a channel's providers share its messages; who has no weight is called where those fail."""

    email: dict[ProviderId, Weight] = {}
    sms: dict[ProviderId, Weight] = {}
    push: dict[ProviderId, Weight] = {}
    in_app: dict[ProviderId, Weight] = {}

    def of(self, channel: str) -> dict[str, int]:
        """The weights on the route of `channel`."""
        weights: dict[str, int] = getattr(self, channel)
        return weights


class QuietHours(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """From `start` to `end` on the clock at the person's wall; `categories` adds to those that wait."""

    start: WallTime
    end: WallTime
    categories: list[Line] = []

    def __post_init__(self) -> None:
        """A window that ends when it begins could be none or all day: nobody should have to guess."""
        if self.start == self.end:
            raise ValueError("start and end must differ")

    def keeps(self, category: str) -> bool:
        """Does a message of this category wait for their end?"""
        return category != TRANSACTIONAL or category in self.categories


class Cap(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `count` messages to one person in any `seconds`; one more is dropped, put off or let pass.

    Of one category, or of all but transactional; of one channel, or of all.
    """

    count: Annotated[int, Meta(ge=1, le=1000)]
    seconds: Annotated[int, Meta(ge=1, le=31_622_400)]
    then: Literal["drop", "defer", "pass"]
    category: Line | None = None
    channel: Channel | None = None

    def covers(self, channel: str, category: str) -> bool:
        """Does such a message count?"""
        of_category = category == self.category if self.category else category != TRANSACTIONAL
        return of_category and self.channel in (None, channel)


class BrandLimits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of the brand's may go out, and come in.

    `weight`: its share where messages of several brands are due at once. `caps`: how much one person gets.
    `requests_per_second`: how many calls are answered, in each process; else what the settings say.
    """

    weight: Annotated[int, Meta(ge=1, le=100)] = 1
    caps: Annotated[list[Cap], Meta(max_length=20)] = []
    requests_per_second: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class BrandSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. `timezone` is a name of the IANA time zone database, `locale` a BCP 47 tag.

    `retention_days`: for how long after its end a message's content is kept, for ever where nothing is said;
    `hipaa_retention_days`: the same of health data, where it is another.
    """

    name: Line
    timezone: str = "UTC"
    locale: Locale = "en"
    senders: Senders = Senders()
    routes: Routes = Routes()
    route_weights: RouteWeights | None = None
    quiet_hours: QuietHours | None = None
    limits: BrandLimits | None = None
    retention_days: Days | None = None
    hipaa_retention_days: Days | None = None
    hipaa: bool | None = None

    def __post_init__(self) -> None:
        """The zone must be one that this machine knows, and weights are of those who are on the route."""
        if self.timezone not in zones.names():
            raise ValueError("timezone must name an IANA time zone, such as Europe/Berlin")
        if any(set(self.weights(channel)) - set(self.routes.of(channel)) for channel in get_args(Channel)):
            raise ValueError("route_weights must name providers that are on the same channel's route")

    def weights(self, channel: str) -> dict[str, int]:
        """How the providers of `channel` share its messages; empty where its route is only an order."""
        return self.route_weights.of(channel) if self.route_weights else {}

    def keeps_for(self, *, hipaa: bool) -> timedelta | None:
        """How long content of this class is kept once it is of no more use; None: for ever."""
        days = self.hipaa_retention_days if hipaa else None
        days = self.retention_days if days is None else days
        return None if days is None else timedelta(days=days)


@lru_cache
def fallbacks(locale: str) -> tuple[str, ...]:
    """The tag and what it falls back to (RFC 4647, section 3.4): `de-CH-1996`, `de-CH`, `de`."""
    parts = locale.split("-")
    return tuple("-".join(parts[:length]) for length in range(len(parts), 0, -1))


def _check(channel: str, address: str, complaint: str) -> None:
    try:
        normalise(channel, address)
    except Refused:
        raise ValueError(complaint) from None
