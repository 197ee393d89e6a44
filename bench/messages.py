"""The messages that are measured: one text a person, no two with the same key."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from comms.domain.schedule import show

BRAND, TEMPLATE, PROVIDER = "bench", "reminder", "sandbox"
MANY_PERSONS = 1_000_000
TEXT = "Hello {{ name }}, see you tomorrow at ten. Reply C to confirm."


def body(instant: datetime, persons: int = MANY_PERSONS) -> dict[str, Any]:
    """A message for `instant`, as `POST /v1/messages/schedule` takes it, to one of so many persons.

    Its number is no sandbox's trick.
    """
    dedup_key = uuid4()
    return {
        "channel": "sms",
        "template_key": TEMPLATE,
        "recipient": f"+1555{dedup_key.int % 100_000:05d}10",
        "brand_id": BRAND,
        "person_id": f"person-{dedup_key.int % persons}",
        "variables": {"name": "Ada"},
        "dedup_key": str(dedup_key),
        "scheduled_at": show(instant),
    }


def later() -> datetime:
    """Some millisecond of a month that is far away."""
    return datetime.now(UTC) + timedelta(days=30, milliseconds=random.randrange(30 * 86_400_000))
