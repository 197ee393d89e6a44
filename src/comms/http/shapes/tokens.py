"""Tokens that are made over HTTP."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from comms.http.shapes.common import Name


class PersonToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A token for one person, good for `expires_in` seconds."""

    brand_id: Name
    person_id: Name
    expires_in: Annotated[int, Meta(ge=1, le=2_592_000)] = 3600


class MadeToken(Struct, frozen=True):
    """The only time that it is shown."""

    token: str
    expires_at: str
