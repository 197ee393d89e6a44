"""Whether the service is well."""

from __future__ import annotations

from msgspec import Struct


class Health(Struct, frozen=True):
    """Well, or not."""

    status: str
