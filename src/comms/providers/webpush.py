"""Push to browsers: RFC 8030, encrypted for the browser alone (RFC 8291), signed by us (VAPID, RFC 8292).

There is no account anywhere: the subscription says where to, and the key that it was made with who may.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Meta, Struct

from comms.providers import subscription
from comms.providers.base import Accepted, Outcome, Outgoing, Rejected, TryLater
from comms.providers.http import Answer, Request
from comms.providers.kind import Tools
from comms.providers.push import LARGEST, PushService, beside, is_urgent, push_kind, secret, words
from comms.providers.signing import base64url, elliptic_key, jwt
from comms.providers.subscription import NoSubscription, Subscription
from comms.providers.vendor import BaseUrl, Meanings, address, retry_after

_LONGEST = 2_592_000  # thirty days: no service is known to keep a message for longer
_TOKEN_LASTS = timedelta(hours=12)  # of 24 (RFC 8292, section 2)
_RENEWED_BEFORE = timedelta(hours=1)
_ORIGINS = 1000  # push services are few; endpoints are strangers' words
_TOPIC_BYTES = 24  # 32 characters, of 32 (RFC 8030, section 5.4)

_KEY_DIFFERS = (
    b"do not correspond to the credentials used to create the subscription",  # Google's services
    b"VAPID public key mismatch",  # Mozilla's
    b"VapidPkHashMismatch",  # Apple's
)

_MEANINGS = Meanings(
    "webpush",
    bad_recipient={404: "the subscription has ended", 410: "the same (RFC 8030, section 7.3)"},
    later={406: "Windows' service has had too many"},
)


class WebPushSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`subject` is where a push service finds us when something is wrong: a mailto: or https: address.

    `base_url`, where it is set, stands for the scheme and host of every endpoint.
    """

    subject: Annotated[str, Meta(pattern=r"^(mailto:[!-~]+@[!-~]+|https://[!-~]+)(?!\n)$", max_length=255)]
    base_url: BaseUrl | None = None


class WebPush(PushService):
    """One key that browsers subscribe to."""

    def __init__(self, settings: WebPushSettings, secrets: dict[str, str], tools: Tools) -> None:
        super().__init__(settings.base_url, tools)
        self._settings = settings
        self._key = secret(secrets, "vapid_private_key", elliptic_key)
        self._public_key = base64url(_point(self._key))
        self._now = tools.now
        self._signed: dict[str, tuple[str, datetime]] = {}

    async def compose(self, outgoing: Outgoing) -> Request | Rejected:
        """POST to the endpoint; a topic of our key replaces what was not delivered yet."""
        base_url = self._settings.base_url
        try:
            to = subscription.read(outgoing.recipient, outside=base_url is None)
        except NoSubscription:
            return Rejected("webpush_no_subscription", bad_recipient=True)
        payload = {**words(outgoing), **beside(outgoing), "tag": outgoing.key}
        body = encrypted(msgspec.json.encode(payload), to)
        if len(body) > LARGEST:
            return Rejected("too_large")
        url = to.endpoint if base_url is None else address(base_url, _path(to.endpoint))
        headers = {
            "Authorization": f"vapid t={self._token(url)}, k={self._public_key}",
            "TTL": str(max(0, min(_LONGEST, int(outgoing.lifetime)))),
            "Urgency": "high" if is_urgent(outgoing) else "normal",
            "Topic": base64url(hashlib.sha256(outgoing.key.encode()).digest()[:_TOPIC_BYTES]),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        return Request(url, body, headers, outside=base_url is None)

    def read(self, answer: Answer) -> Outcome:
        """201 is what the RFC has, 200 without a word what some say.

        The Location that comes along is not kept: whoever knows it may withdraw the message.
        """
        if answer.status in {201, 202} or (answer.status == 200 and answer.body == b""):
            return Accepted()
        said = answer.body or b""
        if answer.status in {400, 401, 403} and any(words in said for words in _KEY_DIFFERS):
            return Rejected("webpush_other_key")  # and kept: it may be we who hold the wrong one, for all
        if answer.status == 503 and retry_after(answer) is not None:
            return TryLater("webpush_http_503", after=retry_after(answer))
        return _MEANINGS.of(answer, answer.status)

    def _token(self, url: str) -> str:
        """One for each push service, for hours."""
        parts = urlsplit(url)
        origin, now = f"{parts.scheme}://{parts.netloc}", self._now()
        token, renewed_at = self._signed.get(origin, ("", now))
        if not token or not timedelta() < renewed_at - now < _TOKEN_LASTS:
            expires = now + _TOKEN_LASTS
            claims = {"aud": origin, "exp": int(expires.timestamp()), "sub": self._settings.subject}
            if len(self._signed) >= _ORIGINS:
                self._signed.clear()
            token = jwt(self._key, claims)
            self._signed[origin] = token, expires - _RENEWED_BEFORE
        return token


def encrypted(
    plain: bytes, to: Subscription, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """For that browser alone: aes128gcm in one record (RFC 8291, section 3.4; RFC 8188, section 2).

    `key` and `salt` are new for each message; a test hands in those of the RFC's example.
    """
    key, salt = key or ec.generate_private_key(ec.SECP256R1()), salt or os.urandom(16)
    own = _point(key)
    shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), to.p256dh))
    ikm = _derived(to.auth, shared, b"WebPush: info\0" + to.p256dh + own, 32)
    content_key = _derived(salt, ikm, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(salt, ikm, b"Content-Encoding: nonce\0", 12)
    head = salt + LARGEST.to_bytes(4, "big") + bytes([len(own)]) + own
    return head + AESGCM(content_key).encrypt(nonce, plain + b"\x02", None)  # 2: the last record


def _derived(salt: bytes, secret_bytes: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret_bytes)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _path(endpoint: str) -> str:
    return "/" + endpoint.split("/", 3)[3]


KIND = push_kind("webpush", WebPushSettings, ["vapid_private_key"], WebPush)
