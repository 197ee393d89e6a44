"""What goes in and what comes out: the shapes of bodies and queries.

`more_schema` is what a shape's JSON Schema says beyond its members' types.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import BrandSettings, Channel, Locale
from comms.domain.permission import ConsentReason, Reason

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Key = Annotated[str, Meta(min_length=1, max_length=1024)]
Recipient = Annotated[str, Meta(min_length=1, max_length=4096)]
Instant = Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(ge=1, le=1000)]
Identifier = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


StatusName = Literal[
    "scheduled", "sending", "unknown", "sent", "failed", "cancelled", "suppressed", "expired"
]


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """What we add to a request travels here; nothing so far."""


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


class CancelMany(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of `dedup_key`, `person_id` and `template_key` says what to cancel."""

    more_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": [name]} for name in ("dedup_key", "person_id", "template_key")]
    }

    brand_id: Name
    dedup_key: Key | UnsetType = UNSET
    person_id: Name | UnsetType = UNSET
    template_key: Name | UnsetType = UNSET
    limit: Count = 1000
    cursor: Identifier | None = None


class Repin(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose waiting messages get the template's current version."""

    brand_id: Name
    template_key: Name
    channel: Channel
    limit: Count = 1000
    cursor: Identifier | None = None


class Verdict(Struct, frozen=True):
    """What became of one message; `error` where it stayed as it was."""

    id: str
    status: str
    error: str | UnsetType = UNSET


class Verdicts(Struct, frozen=True):
    """Newest first."""

    data: list[Verdict]
    next_cursor: str | UnsetType = UNSET


class PersonToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A token for one person, good for `expires_in` seconds."""

    brand_id: Name
    person_id: Name
    expires_in: Annotated[int, Meta(ge=1, le=2_592_000)] = 3600


class MadeToken(Struct, frozen=True):
    """The only time that it is shown."""

    token: str
    expires_at: str


class BrandQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand, and how many."""

    brand_id: Name
    limit: Count = 50
    cursor: Identifier | None = None


class OutboxQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand, and how many."""

    brand_id: Name
    limit: Count = 50
    cursor: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class Patch(Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of a message that waits."""

    more_schema: ClassVar[dict[str, Any]] = {"minProperties": 1}

    scheduled_at: Instant | UnsetType = UNSET
    variables: dict[str, Any] | UnsetType = UNSET
    template_version: Literal["current"] | UnsetType = UNSET


class Settle(Struct, frozen=True, forbid_unknown_fields=True):
    """How an unknown message ended."""

    outcome: Literal["sent", "failed", "retry"]


class TimelineEntry(Struct, frozen=True, omit_defaults=True):
    """One thing that happened."""

    at: str
    event: str
    details: dict[str, Any] | UnsetType = UNSET


class Timeline(Struct, frozen=True):
    """What happened, in order."""

    data: list[TimelineEntry]


class Explanation(Struct, frozen=True):
    """The last decision with its facts."""

    decided_at: str
    verdict: str
    rule: str
    reason: str
    facts: list[dict[str, Any]]


class Brand(BrandSettings, frozen=True, kw_only=True):
    """A brand as it is set up; `held_at` where it is on hold."""

    brand_id: str
    held_at: str | UnsetType = UNSET


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of messages that are too late by now."""

    late: Literal["send", "expire"] = "expire"


class Limits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many messages a provider takes a second, and how many at a time."""

    per_second: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class PutProvider(Struct, frozen=True, forbid_unknown_fields=True):
    """How a provider is set up."""

    kind: Name
    settings: dict[str, Any] = {}
    secrets: dict[str, str | None] = {}
    baa: bool = False
    limits: Limits = Limits()
    brands: list[Name] | None = None


class Provider(Struct, frozen=True):
    """A provider without its secrets: only their names are shown."""

    provider_id: str
    kind: str
    settings: dict[str, Any]
    secrets: dict[str, str]
    baa: bool
    limits: dict[str, Any]
    brands: list[str] | None


class CreateTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    """A template, before it has a version; `max_late` in seconds."""

    brand_id: Name
    key: Name
    channel: Channel
    description: str | None = None
    category: Name = "transactional"
    max_late: Annotated[int, Meta(ge=1, le=31_536_000)] = 14_400
    on_unknown: Literal["prefer_silence", "prefer_duplicate"] = "prefer_silence"


class Template(Struct, frozen=True):
    """A template."""

    id: str
    brand_id: str
    key: str
    description: str | None
    channel: str
    current_version_id: str | None
    created_by: str
    created_at: str
    updated_at: str
    details: dict[str, Any]


class TemplateList(Struct, frozen=True):
    """Newest first."""

    items: list[Template]
    next_cursor: str | UnsetType = UNSET


class CreateVersion(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a version says, in the language `locale`; `body` is Liquid: for e-mail HTML or MJML, else text."""

    body: Annotated[str, Meta(min_length=1)]
    subject: str | None = None
    text: str | None = None
    action_url: str | None = None
    locale: Locale | None = None
    classes: dict[str, Literal["public", "pii", "phi"]] = {}
    draft: bool = False


class Version(Struct, frozen=True):
    """A published version never changes."""

    id: str
    template_id: str
    brand_id: str
    version_number: int
    subject: str | None
    body: str
    variables: list[str]
    created_by: str
    created_at: str
    details: dict[str, Any]


class VersionList(Struct, frozen=True):
    """Newest first."""

    items: list[Version]


class Render(Struct, frozen=True, forbid_unknown_fields=True):
    """A preview of a version, the current one unless another is named."""

    payload: dict[str, Any]
    strict: bool = False
    version_id: Identifier | None = None


class RenderedPreview(Struct, frozen=True):
    """What it would say; missing variables are shown by their names."""

    subject: str | None
    body: str
    missing_variables: list[str]
    details: dict[str, Any] | UnsetType = UNSET


class InboxItem(Struct, frozen=True):
    """One item of a person's inbox."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    category: str
    title: str
    body: str | None
    action_url: str | None
    read_at: str | None
    created_at: str


class InboxList(Struct, frozen=True):
    """Newest first."""

    data: list[InboxItem]
    next_cursor: str | UnsetType = UNSET


class PutDevice(Struct, frozen=True, forbid_unknown_fields=True):
    """A device that takes push messages; `token` is what its push service gave the app."""

    brand_id: Name
    person_id: Name
    kind: Literal["fcm", "apns", "expo", "webpush"]
    token: Recipient
    app: Name | None = None


class Device(Struct, frozen=True):
    """A registered device; its token is never shown."""

    id: str
    brand_id: str
    person_id: str
    kind: str
    app: str | None
    created_at: str


class DeviceList(Struct, frozen=True):
    """Newest first."""

    data: list[Device]


class DevicesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose devices."""

    brand_id: Name
    person_id: Name


class DeviceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which device."""

    brand_id: Name
    id: Identifier


class Removed(Struct, frozen=True):
    """How many went."""

    removed: int


class BulkRead(Struct, frozen=True, forbid_unknown_fields=True):
    """The items that were read."""

    ids: Annotated[list[Identifier], Meta(min_length=1, max_length=100)]


class Updated(Struct, frozen=True):
    """How many changed."""

    updated: int


class Kept(Struct, frozen=True):
    """What the sandbox was handed."""

    message_id: str
    channel: str
    provider_id: str
    recipient: str
    subject: str | None
    body: str
    received_at: str


class Outbox(Struct, frozen=True):
    """Newest first."""

    data: list[Kept]
    next_cursor: str | UnsetType = UNSET


class About(Struct, frozen=True, forbid_unknown_fields=True):
    """A category on a channel, and the person who says something of it."""

    brand_id: Name
    person_id: Name
    channel: Channel
    category: Name


class PutConsent(About, frozen=True, forbid_unknown_fields=True):
    """Consent that was given or withdrawn; `source` says where: a form, a call, an import."""

    opted_in: bool
    source: Name


class Consent(Struct, frozen=True):
    """What a person has consented to, or not any more."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    category: str
    opted_in: bool
    source: str


class ConsentList(Struct, frozen=True):
    """Newest first."""

    data: list[Consent]
    next_cursor: str | UnsetType = UNSET


class Unsubscribed(Struct, frozen=True):
    """Consent, withdrawn."""

    brand_id: str
    person_id: str
    channel: str
    category: str
    opted_in: bool


class ConsentCheck(Struct, frozen=True):
    """What a person's consent says; null where there is none."""

    consented: bool
    reason: ConsentReason
    opted_in: bool | None
    source: str | None


class PutPreference(About, frozen=True, forbid_unknown_fields=True):
    """A person's own switch."""

    enabled: bool


class Preference(Struct, frozen=True):
    """A person's own switch."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    category: str
    enabled: bool


class PreferenceList(Struct, frozen=True):
    """Newest first."""

    data: list[Preference]
    next_cursor: str | UnsetType = UNSET


class PutSuppression(Struct, frozen=True, forbid_unknown_fields=True):
    """An address that is not to be written to."""

    brand_id: Name
    email: Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"format": "email"})]
    reason: Reason
    source: Name


class Suppression(Struct, frozen=True):
    """An address that is not written to, until it is lifted."""

    id: str
    brand_id: str
    email: str
    reason: str
    source: str
    suppressed_at: str
    lifted_at: str | None


class SuppressionQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand."""

    brand_id: Name


class SuppressionState(Struct, frozen=True):
    """Is the address suppressed, and by what?"""

    suppressed: bool
    suppression: Suppression | None


class Health(Struct, frozen=True):
    """Well, or not."""

    status: str
