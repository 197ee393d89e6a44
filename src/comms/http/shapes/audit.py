"""What was done, by whom."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, UnsetType

from comms.http.shapes.common import Count, Identifier, Instant, Name

Position = Annotated[int, Meta(ge=1, le=2**62)]


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """What the list is narrowed to; `from` is included, `to` is not."""

    brand_id: Name | None = None
    message_id: Identifier | None = None
    actor: Name | None = None
    action: Name | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: Count = 50
    cursor: Position | None = None


class Object(Struct, frozen=True):
    """What it was done to."""

    kind: str
    id: str | None


class AuditEntry(Struct, frozen=True, omit_defaults=True):
    """One thing that was done; `actor` is null where the service did it by itself."""

    n: int
    at: str
    actor: str | None
    action: str
    object: Object
    brand_id: str
    request_id: str | None
    details: dict[str, Any] | UnsetType | None = None


class AuditList(Struct, frozen=True, omit_defaults=True):
    """Newest first. There may be more where `next_cursor` is there, even if `data` is short."""

    data: list[AuditEntry]
    next_cursor: str | UnsetType | None = None
