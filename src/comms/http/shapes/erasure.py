"""A person who is erased."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from comms.http.shapes.common import Name


class ErasureQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose person it is."""

    brand_id: Name


class Erasure(Struct, frozen=True):
    """Since when nothing of the person can be read, and how many messages were cancelled by this call."""

    brand_id: str
    person_id: str
    erased_at: str
    cancelled: Annotated[int, Meta(ge=0)]
