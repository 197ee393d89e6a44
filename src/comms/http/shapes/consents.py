"""Consents and preferences."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import Channel
from comms.domain.permission import ConsentReason
from comms.http.shapes.common import Name


class About(Struct, frozen=True, forbid_unknown_fields=True):
    """A category on a channel, and the person who says something of it."""

    brand_id: Name
    person_id: Name
    channel: Channel
    category: Name


class PutConsent(About, frozen=True, forbid_unknown_fields=True):
    """Consent that was given or withdrawn; `source` says where: a form, a call, an import."""

    opted_in: bool
    source: Name


class Consent(Struct, frozen=True):
    """What a person has consented to, or not any more."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    category: str
    opted_in: bool
    source: str


class ConsentList(Struct, frozen=True):
    """Newest first."""

    data: list[Consent]
    next_cursor: str | UnsetType = UNSET


class Unsubscribed(Struct, frozen=True):
    """Consent, withdrawn."""

    brand_id: str
    person_id: str
    channel: str
    category: str
    opted_in: bool


class ConsentCheck(Struct, frozen=True):
    """What a person's consent says; null where there is none."""

    consented: bool
    reason: ConsentReason
    opted_in: bool | None
    source: str | None


class PutPreference(About, frozen=True, forbid_unknown_fields=True):
    """A person's own switch."""

    enabled: bool


class Preference(Struct, frozen=True):
    """A person's own switch."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    category: str
    enabled: bool


class PreferenceList(Struct, frozen=True):
    """Newest first."""

    data: list[Preference]
    next_cursor: str | UnsetType = UNSET


class AskLink(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose preferences the link is to, and for how many seconds it is good."""

    brand_id: Name
    person_id: Name
    expires_in: Annotated[int, Meta(ge=60, le=7_776_000)] = 604_800


class MadeLink(Struct, frozen=True):
    """Where the person may choose, without a login, until then."""

    url: str
    expires_at: str
