"""Facts that callers keep."""

from __future__ import annotations

from msgspec import Struct

from comms.http.shapes.common import Name


class PutFact(Struct, frozen=True, forbid_unknown_fields=True):
    """What is so from now on."""

    brand_id: Name
    value: Name


class Fact(Struct, frozen=True):
    """What was said last of a name."""

    brand_id: str
    name: str
    value: str
    changed_at: str
