"""Addresses that are not written to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.actions.suppressions import MEMBERS
from comms.domain.permission import PublishedReason
from comms.http.shapes.common import Name, Recipient

ONE_OF: dict[str, Any] = {"oneOf": [{"required": [name]} for name in MEMBERS]}

Address = Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"format": "email"})]


class PutSuppression(Struct, frozen=True, forbid_unknown_fields=True):
    """An address that is not to be written to: exactly one of an e-mail address, a number and a device."""

    more_schema: ClassVar[dict[str, Any]] = ONE_OF

    brand_id: Name
    reason: PublishedReason
    source: Name
    email: Address | UnsetType = UNSET
    number: Name | UnsetType = UNSET
    device: Recipient | UnsetType = UNSET


class Suppression(Struct, frozen=True):
    """An address that is not written to, until it is lifted. A device is shown by its id."""

    more_schema: ClassVar[dict[str, Any]] = ONE_OF

    id: str
    brand_id: str
    reason: str
    source: str
    suppressed_at: str
    lifted_at: str | None
    email: str | UnsetType = UNSET
    number: str | UnsetType = UNSET
    device: str | UnsetType = UNSET


class SuppressionQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand."""

    brand_id: Name


class SuppressionState(Struct, frozen=True):
    """Is the address suppressed, and by what?"""

    suppressed: bool
    suppression: Suppression | None
