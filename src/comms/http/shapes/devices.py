"""Devices that take push messages."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from comms.http.shapes.common import Identifier, Name, Recipient


class PutDevice(Struct, frozen=True, forbid_unknown_fields=True):
    """A device that takes push messages; `token` is what its push service gave the app.

    For `webpush` that is the browser's PushSubscription as JSON.
    """

    brand_id: Name
    person_id: Name
    kind: Literal["fcm", "apns", "expo", "webpush"]
    token: Recipient
    app: Name | None = None


class Device(Struct, frozen=True):
    """A registered device; its token is never shown."""

    id: str
    brand_id: str
    person_id: str
    kind: str
    app: str | None
    created_at: str


class DeviceList(Struct, frozen=True):
    """Newest first."""

    data: list[Device]


class DevicesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose devices."""

    brand_id: Name
    person_id: Name


class DeviceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which device."""

    brand_id: Name
    id: Identifier
