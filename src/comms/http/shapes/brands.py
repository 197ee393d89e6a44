"""Brands, and the providers that they send through."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import BrandSettings
from comms.http.shapes.common import Name


class Brand(BrandSettings, frozen=True, kw_only=True):
    """A brand as it is set up; `held_at` where it is on hold."""

    brand_id: str
    held_at: str | UnsetType = UNSET


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of messages that are too late by now."""

    late: Literal["send", "expire"] = "expire"


class Limits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many messages a provider takes in any second, and how many at a time, from all workers together."""

    per_second: Annotated[float, Meta(ge=0.001, le=1_000_000)] | None = None
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class PutProvider(Struct, frozen=True, forbid_unknown_fields=True):
    """How a provider is set up."""

    kind: Name
    settings: dict[str, Any] = {}
    secrets: dict[str, str | None] = {}
    baa: bool = False
    limits: Limits = Limits()
    brands: list[Name] | None = None


class Provider(Struct, frozen=True):
    """A provider without its secrets: only their names are shown."""

    provider_id: str
    kind: str
    settings: dict[str, Any]
    secrets: dict[str, str]
    baa: bool
    limits: dict[str, Any]
    brands: list[str] | None
