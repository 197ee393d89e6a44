"""Persons' inboxes, and the sandbox's outbox."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.http.shapes.common import Count, Identifier, Name


class InboxItem(Struct, frozen=True):
    """One item of a person's inbox."""

    id: str
    brand_id: str
    person_id: str
    channel: str
    category: str
    title: str
    body: str | None
    action_url: str | None
    read_at: str | None
    created_at: str


class InboxList(Struct, frozen=True):
    """Newest first."""

    data: list[InboxItem]
    next_cursor: str | UnsetType = UNSET


class BulkRead(Struct, frozen=True, forbid_unknown_fields=True):
    """The items that were read."""

    ids: Annotated[list[Identifier], Meta(min_length=1, max_length=100)]


class OutboxQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The brand, and how many."""

    brand_id: Name
    limit: Count = 50
    cursor: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class Kept(Struct, frozen=True):
    """What the sandbox was handed."""

    message_id: str
    channel: str
    provider_id: str
    recipient: str
    subject: str | None
    body: str
    received_at: str


class Outbox(Struct, frozen=True):
    """Newest first."""

    data: list[Kept]
    next_cursor: str | UnsetType = UNSET
