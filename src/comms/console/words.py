"""The service's codes in words that a support agent reads aloud to a caller."""

from __future__ import annotations

from typing import Any

_STATUS = {
    "scheduled": "waits for its time",
    "sending": "is being handed over",
    "unknown": "was handed over, and the answer was lost",
    "sent": "was taken by the provider",
    "failed": "was refused for good",
    "cancelled": "was cancelled before it went",
    "suppressed": "may not be sent",
    "expired": "would have been too late",
}

_EVENT = {
    "accepted": "Accepted: it is kept, and will go at its time",
    "claimed": "Taken up by a worker",
    "attempted": "Handed to the provider",
    "deferred": "Put off",
    "held": "Held back: the brand is on hold",
    "retried": "Put back for another attempt",
    "sent": "Taken by the provider",
    "failed": "Refused for good",
    "unknown": "The provider's answer was lost",
    "settled": "Settled by a person or by the provider's later word",
    "suppressed": "Not sent: it may not be",
    "expired": "Not sent: it would have been too late",
    "cancelled": "Cancelled",
    "rescheduled": "Moved or changed",
    "delivered": "Delivered, says the provider",
    "bounced": "Bounced, says the provider",
    "complained": "Reported as spam",
    "opened": "Opened",
    "clicked": "A link was clicked",
    "read": "Read",
    "page_opened": "The secure page was opened",
    "page_refused": "The secure page was asked for with a wrong answer",
    "page_locked": "The secure page was locked after too many wrong answers",
    "page_recalled": "The secure page was recalled",
    "unsubscribed": "Unsubscribed",
}


def status(code: str) -> str:
    """What a status means."""
    return _STATUS.get(code, code)


def event(code: str) -> str:
    """What a timeline's event means."""
    return _EVENT.get(code, code.replace("_", " "))


def moment(instant: str | None) -> str:
    """RFC 3339 as it is read: to the millisecond, which is what is promised."""
    return f"{instant[:10]} {instant[11:23]} UTC" if instant else ""


def fact(value: Any) -> str:
    """A value of JSON in a table's cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {fact(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(fact, value)) or "none"
    return "none" if value is None else str(value)
