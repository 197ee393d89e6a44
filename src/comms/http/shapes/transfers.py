"""Lines of imports and exports: what goes out can come in again."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import Channel
from comms.domain.permission import Reason
from comms.http.shapes.common import Identifier, Instant, Name, Recipient
from comms.http.shapes.suppressions import ONE_OF, Address


class ConsentLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A consent; `changed_at` is when it was given or withdrawn: now, unless said."""

    person_id: Name
    channel: Channel
    category: Name
    opted_in: bool
    source: Name
    changed_at: Instant | UnsetType = UNSET
    brand_id: Name | UnsetType = UNSET


class PreferenceLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A person's switch; `changed_at` is when it was set: now, unless said."""

    person_id: Name
    channel: Channel
    category: Name
    enabled: bool
    changed_at: Instant | UnsetType = UNSET
    brand_id: Name | UnsetType = UNSET


class SuppressionLine(Struct, frozen=True, forbid_unknown_fields=True):
    """An address that is not written to, since `suppressed_at`: now, unless said."""

    more_schema: ClassVar[dict[str, Any]] = ONE_OF

    reason: Reason
    source: Name
    email: Address | UnsetType = UNSET
    number: Name | UnsetType = UNSET
    device: Recipient | UnsetType = UNSET
    suppressed_at: Instant | UnsetType = UNSET
    brand_id: Name | UnsetType = UNSET


class ImportVerdict(Struct, frozen=True, omit_defaults=True):
    """What became of one line."""

    more_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": ["id"], "properties": {"status": {"const": 200}}},
            {"required": ["error", "message"], "properties": {"status": {"minimum": 400}}},
        ],
    }

    line: Annotated[int, Meta(ge=1)]
    status: int
    id: Identifier | UnsetType = UNSET
    error: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class ImportQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand that all lines are of."""

    brand_id: Name


class ExportQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand, and how lines are written."""

    brand_id: Name
    format: Literal["ndjson", "csv"] = "ndjson"
