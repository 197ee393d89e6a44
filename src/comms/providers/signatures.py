"""What all vendors' webhooks have in common: is it theirs, is it fresh, is it what they send?

A replay changes nothing, since each event is kept once, so a window is as wide as the vendor goes on
trying with one signature: five minutes where every attempt is signed anew, else a day and an hour. All
that decides whether a call is theirs is compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from comms.providers.events import Forged, Incoming, Unreadable

MINUTES = timedelta(minutes=5)
A_DAY = timedelta(hours=25)

_KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]{1,6}")
_MOST_FIELDS = 200


def secret(secrets: Mapping[str, str], name: str) -> str:
    """The secret; without one there is nothing to tell a forgery by."""
    if not secrets.get(name):
        raise Forged
    return secrets[name]


def shown(incoming: Incoming) -> str:
    """The password of who signs nothing and shows one: in the address, after whatever name, or a header."""
    scheme, _, login = incoming.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return incoming.headers.get("X-Webhook-Secret", "")
    try:
        return decoded(login).decode().partition(":")[2]
    except UnicodeDecodeError:
        raise Forged from None


def require_same(given: str, expected: str) -> None:
    """Forged where they differ."""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forged


def require_fresh(stamp: str, now: datetime, window: timedelta) -> None:
    """Forged where a signature's time, in seconds since 1970, is older than `window` or well ahead of us."""
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
        raise Forged
    age = now.timestamp() - int(stamp)
    if not -MINUTES.total_seconds() <= age <= window.total_seconds():
        raise Forged


def decoded(text: str) -> bytes:
    """Base64 of a signature or a key (RFC 4648); Forged where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Forged from None


def form(body: bytes) -> list[tuple[str, str]]:
    """A form's fields, empty ones too; Forged where it is none, since it is read before it is checked."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Forged from None


def json(body: bytes) -> Any:
    """The body as JSON, or Unreadable."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Unreadable from None


def members(found: Any) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    return found if isinstance(found, dict) else {}


def text(found: Any) -> str:
    """A JSON string, or Unreadable: for members without which an event is none."""
    if not isinstance(found, str) or not found:
        raise Unreadable
    return found


def our_key(found: Any) -> str | None:
    """Our key as it went out, or None: other systems may send through the same account."""
    return found if isinstance(found, str) and _KEY.fullmatch(found) else None


def instant(found: Any) -> datetime:
    """A vendor's time: RFC 3339, or seconds since 1970; Unreadable where it is neither."""
    try:
        if isinstance(found, str):
            read = datetime.fromisoformat(found)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
        return datetime.fromtimestamp(float(found), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Unreadable from None
