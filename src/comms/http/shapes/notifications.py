"""Persons' notifications."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from comms.http.shapes.common import Count, Identifier, Name, Recipient


class Notification(Struct, frozen=True):
    """An inbox item, as apps show it."""

    id: str
    kind: str
    title: str
    body: str | None
    link: str | None
    read_at: str | None
    created_at: str
    metadata: dict[str, Any]


class WrittenNotification(Notification, frozen=True):
    """The same, and whose it is."""

    brand_id: str
    patient_id: str


class NotificationList(Struct, frozen=True):
    """Newest first."""

    data: list[Notification]
    next_cursor: str | None


class NotificationsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How many; and whose, for a token that is not a person's own."""

    limit: Count = 50
    cursor: Identifier | None = None
    person_id: Name | None = None


class PersonQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose, for a token that is not a person's own."""

    person_id: Name | None = None


class UnreadCount(Struct, frozen=True):
    """How many are not read."""

    count: int


class WriteNotification(Struct, frozen=True, forbid_unknown_fields=True):
    """What a service writes to a person."""

    brand_id: Name
    patient_id: Name
    kind: Name
    title: Recipient
    body: str | None = None
    link: Recipient | None = None
    metadata: dict[str, Any] = {}


class StreamQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose inbox, for a token that is not a person's own."""

    brand_id: Name | None = None
    person_id: Name | None = None
