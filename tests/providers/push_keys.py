"""Keys of our own for the push services' tests, and a browser that can open what it is sent."""

from __future__ import annotations

import json
import os
from typing import Any

import http_ece  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from comms.providers.signing import base64url


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def lines_of(secret: str) -> list[str]:
    """What of a key would give it away."""
    return [line for line in secret.replace("\\n", "\n").splitlines() if len(line) > 40]


APNS_SIGNER = ec.generate_private_key(ec.SECP256R1())
APNS_KEY = _pem(APNS_SIGNER)

VAPID_SIGNER = ec.generate_private_key(ec.SECP256R1())
VAPID_KEY = base64url(VAPID_SIGNER.private_numbers().private_value.to_bytes(32, "big"))

GOOGLE_SIGNER = rsa.generate_private_key(65537, 2048)
SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "loop-4711",
        "private_key_id": "1234567890abcdef",
        "private_key": _pem(GOOGLE_SIGNER),
        "client_email": "comms@loop-4711.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
)


class Browser:
    """Holds the private half of a subscription; what it is sent is opened by a library that is not ours."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = os.urandom(16)

    def token(self, endpoint: str) -> str:
        """What `JSON.stringify(subscription)` gives in a browser."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": base64url(point), "auth": base64url(self._auth)}
        return json.dumps({"endpoint": endpoint, "expirationTime": None, "keys": keys})

    def opened(self, body: bytes) -> dict[str, Any]:
        """The payload, as the page's service worker would read it."""
        plain = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
        found: dict[str, Any] = json.loads(plain)
        return found


BROWSER = Browser()
