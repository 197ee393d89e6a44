"""Names, limits and shapes that more than one resource uses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Key = Annotated[str, Meta(min_length=1, max_length=1024)]
Recipient = Annotated[str, Meta(min_length=1, max_length=4096)]
Instant = Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(ge=1, le=1000)]
Identifier = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class BrandQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand, and how many."""

    brand_id: Name
    limit: Count = 50
    cursor: Identifier | None = None


class OneBrand(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand, for what has no list."""

    brand_id: Name


class Removed(Struct, frozen=True):
    """How many went."""

    removed: int


class Updated(Struct, frozen=True):
    """How many changed."""

    updated: int
