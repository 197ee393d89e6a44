"""Canaries: what watches a provider, and what it has found."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import Channel
from comms.http.shapes.common import Name, Recipient


class PutCanary(Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent, to whom, on whose behalf, how often. The template must need no variables."""

    brand_id: Name
    channel: Channel
    template_key: Name
    recipient: Recipient
    every_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 300


class CanaryDetails(Struct, frozen=True, omit_defaults=True):
    """`problem` is a code; `well_at`: when one went well, last. The rest is of the last one."""

    state: Literal["waiting", "well", "failing"]
    problem: str | UnsetType = UNSET
    message_id: str | UnsetType = UNSET
    begun_at: str | UnsetType = UNSET
    well_at: str | UnsetType = UNSET
    sent_ms: float | UnsetType = UNSET
    delivered_ms: float | UnsetType = UNSET


class Canary(Struct, frozen=True):
    """As it is set up, with how it is doing."""

    provider_id: str
    brand_id: str
    channel: str
    template_key: str
    recipient: str
    every_seconds: int
    details: CanaryDetails


class Pinged(Struct, frozen=True):
    """What came of one: taken, and where the provider reports deliveries, reported; after so long."""

    delivered: bool
    latency_ms: float
