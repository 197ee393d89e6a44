"""What the machine draws, and how it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from tests.model.reference import KEYED, TEMPLATES, Message

ADDRESSES = {
    "p0": {"email": "p0@example.org", "sms": "+15555550110"},
    "p1": {"email": "p1@example.org", "sms": "+15555550111"},
    "p2": {"email": "p2@example.org", "sms": "+15555550111"},  # a number that two share
}
KEYS = [f"k{n}" for n in range(20)]

persons = st.sampled_from(list(ADDRESSES))
channels = st.sampled_from(list(KEYED))
names = st.sampled_from(["Ada", "Grace"])
keys = st.sampled_from(KEYS)
picks = st.integers(0, len(KEYS) - 1)
outcomes = st.sampled_from(["sent", "failed", "retry"])
moods = st.sampled_from(
    ["take", "take", "take", "busy", "reject", "lost", "lost, taken", "die, taken", "die, not taken"]
)
delays = st.sampled_from([-20_000, -300, -1, 0, 0, 0, 1, 60, 600, 5_000])


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """What `send` takes."""
    person, channel = draw(persons), draw(channels)
    return {
        "channel": channel,
        "template_key": draw(st.sampled_from(list(TEMPLATES))),
        "recipient": ADDRESSES[person][channel],
        "brand_id": "loop",
        "person_id": person,
        "variables": {"name": draw(names)},
        "dedup_key": draw(keys),
    }


def shown(instant: datetime | None) -> str | None:
    """As every answer shows a time."""
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z" if instant else None


SHOWN = ("status", "failure_reason", "scheduled_at", "sent_at", "cancelled_at", "recipient")


def as_shown(message: Message) -> tuple[str | None, ...]:
    """The dedup_key, and what stands in `SHOWN`."""
    erased = "erased" if message.is_erased else None
    times = (message.scheduled_at, message.sent_at, message.cancelled_at)
    recipient = erased or message.asked["recipient"]
    return (erased or message.key, message.status, message.reason, *map(shown, times), recipient)
