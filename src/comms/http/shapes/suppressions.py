"""Addresses that are not written to."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from comms.domain.permission import PublishedReason
from comms.http.shapes.common import Name


class PutSuppression(Struct, frozen=True, forbid_unknown_fields=True):
    """An address that is not to be written to."""

    brand_id: Name
    email: Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"format": "email"})]
    reason: PublishedReason
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
