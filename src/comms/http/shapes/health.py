"""Whether the service is well."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class Health(Struct, frozen=True):
    """Well, or not. `paused`: messages are accepted and none is sent, and why."""

    status: str
    paused: str | UnsetType = UNSET
