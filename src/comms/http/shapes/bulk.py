"""Many messages at once."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from comms.domain.brand import Channel
from comms.http.shapes.common import Count, Identifier, Key, Name


class CancelMany(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of `dedup_key`, `person_id`, `template_key` and `subject` says what to cancel."""

    more_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": [name]} for name in ("dedup_key", "person_id", "template_key", "subject")]
    }

    brand_id: Name
    dedup_key: Key | UnsetType = UNSET
    person_id: Name | UnsetType = UNSET
    template_key: Name | UnsetType = UNSET
    subject: Key | UnsetType = UNSET
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
