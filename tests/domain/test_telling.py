"""What is told of a message says how it stands, and a vendor's own word about one that is sent does not move it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from comms.domain.webhooks import Entry, body

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def told(event: str, details: dict[str, Any]) -> Any:
    entry = Entry(1, NOON, event, details, UUID(int=7), "email", "visit", hipaa=False)
    return msgspec.json.decode(body("loop", entry))["data"]


@pytest.mark.parametrize(
    ("event", "details", "status"),
    [
        ("failed", {"attempt": 1, "provider_id": "v", "reason": "provider_rejected: x"}, "failed"),
        ("deferred", {"reason": "quiet_hours", "until": "2030-01-01T13:00:00.000Z"}, "scheduled"),
        ("deferred", {"attempt": 2, "reason": "no_route"}, "scheduled"),
    ],
)
def test_our_own_word_says_how_it_stands(event: str, details: dict[str, Any], status: str) -> None:
    assert told(event, details)["status"] == status


@pytest.mark.parametrize("event", ["failed", "deferred", "delivered"])
def test_a_vendors_word_does_not(event: str) -> None:
    assert "status" not in told(event, {"provider_id": "v", "reason": "mailbox_full"})
