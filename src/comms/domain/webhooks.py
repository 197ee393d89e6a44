"""What others are told of what happened here, and how they know that it was us.

The words are those of the timeline. What is told names ids, never a person, an address, a key or
anything that a message says; of a message with health data it names nothing else. It is signed as
Standard Webhooks 1.0 asks (github.com/standard-webhooks): an HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from comms.domain.lifecycle import Status
from comms.domain.schedule import show

ANY = "*"
TEST = "comms.test"
_PREFIX = "whsec_"

_STATUS_AFTER: dict[str, Status | None] = {
    "accepted": Status.SCHEDULED,
    "deferred": Status.SCHEDULED,
    "retried": Status.SCHEDULED,
    "rescheduled": Status.SCHEDULED,
    "sent": Status.SENT,
    "failed": Status.FAILED,
    "unknown": Status.UNKNOWN,
    "suppressed": Status.SUPPRESSED,
    "expired": Status.EXPIRED,
    "cancelled": Status.CANCELLED,
    "settled": None,
    "delivered": None,
    "bounced": None,
    "complained": None,
    "opened": None,
    "clicked": None,
    "read": None,
    "unsubscribed": None,
}
"""What a message's event leaves it as; None where the event does not say so by itself."""

_SETTLED = {"sent": Status.SENT, "failed": Status.FAILED, "retry": Status.SCHEDULED}

_OTHERS = {
    "consent_put": "consent.changed",
    "preference_put": "preference.changed",
    "suppression_added": "suppression.added",
    "suppression_lifted": "suppression.lifted",
}

TYPES = {word: f"message.{word}" for word in _STATUS_AFTER} | _OTHERS
"""A ledger's event, and the type under which it is told. What is not here stays among us."""

_WORDS = {told: word for word, told in TYPES.items()}
_TOLD = ("attempt", "provider_id", "reason", "until", "outcome")
"""Of a message's details."""

_TOLD_OF_OTHERS = (
    *("consent_id", "preference_id", "suppression_id"),
    *("channel", "category", "opted_in", "enabled", "reason"),
)
_CODE = re.compile(r"[\w.:/+ -]{1,120}", re.ASCII)
"""What a reason may look like; a provider's own words might name somebody."""


class Entry(NamedTuple):
    """A ledger's entry, with what the message's row says."""

    n: int
    at: datetime
    event: str
    details: Mapping[str, Any] | None
    message_id: UUID | None = None
    channel: str | None = None
    template_key: str | None = None
    hipaa: bool | None = None


def words(types: Iterable[str]) -> list[str]:
    """The ledger's events behind types that somebody asked for; `*` is all of them."""
    asked = set(types)
    return [word for told, word in _WORDS.items() if ANY in asked or told in asked]


def body(brand_id: str, entry: Entry) -> bytes:
    """What is told of an entry: `{type, timestamp, data}`."""
    told = _of_message(entry) if entry.message_id else _only(entry.details, _TOLD_OF_OTHERS)
    return _body(TYPES[entry.event], entry.at, {"brand_id": brand_id, **told})


def test_body(brand_id: str, now: datetime) -> bytes:
    """What a test by hand sends."""
    return _body(TEST, now, {"brand_id": brand_id})


def secret(randomness: bytes) -> str:
    """32 random bytes, in the form that receivers' libraries take."""
    return _PREFIX + base64.b64encode(randomness).decode()


def headers(keys: Iterable[str], event_id: str, now: datetime, said: bytes) -> dict[str, str]:
    """What goes with a body: its id, when it is sent, and a signature for each secret that is valid now."""
    moment = str(int(now.timestamp()))
    signed = b".".join((event_id.encode(), moment.encode(), said))
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()


def _of_message(entry: Entry) -> dict[str, Any]:
    """Ids and the status for anybody; more only where no health data goes with it."""
    details = entry.details or {}
    status = _STATUS_AFTER[entry.event] or _SETTLED.get(details.get("outcome", ""))
    if "provider_id" in details and "attempt" not in details:
        status = None  # a vendor's own word, later: its `deferred` or `failed` moves nothing of ours
    told = {"message_id": str(entry.message_id), **({"status": status} if status else {})}
    if entry.hipaa is not False:  # where the row is gone nobody knows
        return told
    about = {"channel": entry.channel, "template_key": entry.template_key}
    return {**told, **about, **_only(entry.details, _TOLD)}


def _only(details: Mapping[str, Any] | None, names: Iterable[str]) -> dict[str, Any]:
    given = details or {}
    return {name: given[name] for name in names if name in given and _is_plain(given[name])}


def _is_plain(value: Any) -> bool:
    return not isinstance(value, str) or _CODE.fullmatch(value) is not None


def _body(told: str, at: datetime, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": told, "timestamp": show(at), "data": data})
