"""What providers say afterwards."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from comms.http.shapes.common import Name


class Received(Struct, frozen=True):
    """How many events and texts were understood; those that were known already count."""

    received: int


class EmailEvent(Struct, frozen=True):
    """What became of an e-mail, told by a caller with a token. Other members are passed over.

    `type`: bounce, hard_bounce, complaint, spam_complaint or unsubscribe, also as `email.bounced` or
    `HardBounce`; anything else is ignored.
    """

    brand_id: Name
    recipient_email: Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"format": "email"})]
    type: Annotated[str, Meta(max_length=255)] = ""
    vendor_message_id: Annotated[str, Meta(max_length=255)] = ""


class EmailEventResult(Struct, frozen=True):
    """What was done about it."""

    action: Literal["suppressed", "ignored"]
    type: str
    vendor_message_id: str
