"""Web push, as it is published."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from comms.http.shapes.common import Name

_HOST = r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?"
_PATH = r"(/([A-Za-z0-9._~:/?@!$&*+,;=-]|%[0-9A-Fa-f]{2})*)?(?!\n)$"

Endpoint = Annotated[str, Meta(max_length=2048, pattern=_HOST + _PATH, extra_json_schema={"format": "uri"})]
KeyText = Annotated[str, Meta(min_length=1, max_length=255)]
Line = Annotated[str, Meta(min_length=1, max_length=1024)]


class Subscribe(Struct, frozen=True, forbid_unknown_fields=True):
    """A browser's subscription; what it calls itself is not kept."""

    brand_id: Name
    person_id: Name
    endpoint: Endpoint
    p256dh: KeyText
    auth: KeyText
    user_agent: str | None = None


class PushSubscription(Struct, frozen=True):
    """A browser that takes pushes; its keys are not shown."""

    id: str
    brand_id: str
    person_id: str
    endpoint: str
    created_at: str
    expires_at: str | None


class SendPush(Struct, frozen=True, forbid_unknown_fields=True):
    """What is pushed to all of a patient's devices."""

    patientId: Name  # noqa: N815 - so it is published
    title: Line
    body: Line
    url: Line | None = None


class PushResult(Struct, frozen=True):
    """What became of it at one device."""

    subscription_id: str
    status: Literal["sent", "rejected"]
    vendor_message_id: str | None


class PushResults(Struct, frozen=True):
    """What became of it at each device, where that is known."""

    patient_id: str
    person_id: str
    sent: int
    rejected: int
    results: list[PushResult]
