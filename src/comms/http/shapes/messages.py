"""Messages: scheduled, sent, listed, changed, explained."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import Channel
from comms.domain.options import Options
from comms.http.shapes.common import Count, Identifier, Instant, Key, Name, Recipient

StatusName = Literal[
    "scheduled", "sending", "unknown", "sent", "failed", "cancelled", "suppressed", "expired"
]


class Send(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Send this template to this person, now."""

    channel: Channel
    template_key: Name
    recipient: Recipient
    brand_id: Name
    person_id: Name
    variables: dict[str, Any] = {}
    dedup_key: Key
    hipaa: bool = False
    options: Options = Options()


class Schedule(Send, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Send this template to this person at this time."""

    scheduled_at: Instant


class LineVerdict(Struct, frozen=True):
    """What became of a line: 201 with `id` and `replayed`, or else `error` and `message`."""

    line: Annotated[int, Meta(ge=1)]
    status: Annotated[int, Meta(ge=201, le=503)]
    id: Identifier | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    message: str | UnsetType = UNSET

    more_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": ["id", "replayed"], "properties": {"status": {"const": 201}}},
            {"required": ["error", "message"], "properties": {"status": {"minimum": 400}}},
        ],
    }


class ScheduledMessage(Struct, frozen=True):
    """A message as it stands."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    template_key: str
    recipient: str
    dedup_key: str
    scheduled_at: str
    status: str
    sent_at: str | None
    cancelled_at: str | None
    failure_reason: str | None
    created_at: str


class ScheduledList(Struct, frozen=True):
    """Newest first."""

    data: list[ScheduledMessage]
    next_cursor: str | UnsetType | None = UNSET


class SendResult(Struct, frozen=True):
    """What is known of a message that was sent."""

    message_id: str
    dedup_key: str
    channel: str
    status: str
    provider: str | None


class RecentMessage(Struct, frozen=True):
    """One line of the recent list."""

    message_id: str
    channel: str
    recipient: str
    status: str
    sent_at: str | None


class RecentList(Struct, frozen=True):
    """Newest first."""

    messages: list[RecentMessage]
    next_cursor: str | UnsetType | None = UNSET


class ScheduledQuery(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """What a list is narrowed to; `from` is included, `to` is not."""

    brand_id: Name
    status: StatusName | None = None
    person_id: Name | None = None
    channel: Channel | None = None
    template_key: Name | None = None
    dedup_key: Key | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: Count = 50
    cursor: Identifier | None = None


class Search(ScheduledQuery, frozen=True, forbid_unknown_fields=True):
    """The same, with what must not stand in an address."""

    recipient: Recipient | None = None
    subject: Key | None = None


class Patch(Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of a message that waits."""

    more_schema: ClassVar[dict[str, Any]] = {"minProperties": 1}

    scheduled_at: Instant | UnsetType = UNSET
    variables: dict[str, Any] | UnsetType = UNSET
    template_version: Literal["current"] | UnsetType = UNSET


class Settle(Struct, frozen=True, forbid_unknown_fields=True):
    """How an unknown message ended."""

    outcome: Literal["sent", "failed", "retry"]


class Recalled(Struct, frozen=True):
    """A secure page that shows nothing any more; `opened_at`: when it was shown before, if it was."""

    message_id: str
    recalled_at: str
    opened_at: str | None


class TimelineEntry(Struct, frozen=True, omit_defaults=True):
    """One thing that happened."""

    at: str
    event: str
    details: dict[str, Any] | UnsetType = UNSET


class Timeline(Struct, frozen=True):
    """What happened, in order."""

    data: list[TimelineEntry]


class ExplanationDetails(Struct, frozen=True, omit_defaults=True):
    """The same for a person: a sentence a fact, and all that would have had to be otherwise for it to go.

    `until`: when a deferred message is looked at again.
    """

    because: list[str]
    otherwise: list[str]
    until: str | UnsetType = UNSET


class Explanation(Struct, frozen=True):
    """The last decision with its facts."""

    decided_at: str
    verdict: str
    rule: str
    reason: str
    facts: list[dict[str, Any]]
    details: ExplanationDetails
