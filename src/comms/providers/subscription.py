"""A browser's push subscription: what `PushSubscription.toJSON()` gives (W3C Push API, section 8).

The endpoint is an address that a stranger chose and that we call, so its form is narrow.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from comms.domain.outside import may_lead_outside
from comms.providers.signing import base64url, unbase64

_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[!-~]{0,2048}")
_POINT, _AUTH = 65, 16


class NoSubscription(ValueError):
    """It is none; the text says what is wrong, and can be shown: it repeats nothing of what was given."""


class Subscription(NamedTuple):
    """Where it is sent, the browser's public key on P-256 (uncompressed) and its secret of 16 bytes."""

    endpoint: str
    p256dh: bytes
    auth: bytes

    def text(self) -> str:
        """The one spelling of it: the same subscription, however it is written, is the same device."""
        keys = {"p256dh": base64url(self.p256dh), "auth": base64url(self.auth)}
        return msgspec.json.encode({"endpoint": self.endpoint, "keys": keys}).decode()


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class _Given(msgspec.Struct):
    endpoint: str
    keys: _Keys


def read(text: str, *, outside: bool = True) -> Subscription:
    """The subscription; NoSubscription where it is none. `outside`: https, and nothing in our network."""
    try:
        given = msgspec.json.decode(text, type=_Given)
    except (msgspec.DecodeError, RecursionError):
        raise NoSubscription(
            "must be a PushSubscription as JSON, with endpoint, keys.p256dh and keys.auth"
        ) from None
    if not _ENDPOINT.fullmatch(given.endpoint):
        raise NoSubscription("must have an endpoint that is an https address")
    url = urlsplit(given.endpoint)
    if outside and not (url.scheme == "https" and may_lead_outside(url.hostname or "")):
        raise NoSubscription("must have an endpoint that is an https address outside of this network")
    return Subscription(given.endpoint, _point(given.keys.p256dh), _secret(given.keys.auth))


def _point(text: str) -> bytes:
    try:
        raw = unbase64(text)
        if len(raw) == _POINT:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
            return raw
    except ValueError:
        pass
    raise NoSubscription("must have a keys.p256dh that is an uncompressed point on P-256, in base64url")


def _secret(text: str) -> bytes:
    try:
        raw = unbase64(text)
    except ValueError:
        raw = b""
    if len(raw) != _AUTH:
        raise NoSubscription("must have a keys.auth of 16 bytes, in base64url")
    return raw
