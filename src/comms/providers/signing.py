"""Private keys as vendors hand them out, and the tokens that are signed with them (JWT, RFC 7519).

Only signing is needed, which is a line of `cryptography`; nothing here ever trusts a token.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

_SCALAR = 32
"""Bytes of a number on P-256."""


def elliptic_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A key on P-256: PEM, or base64 of DER or of the bare number, as `web-push` and py-vapid print it.

    ValueError where it is none of them.
    """
    text = text.strip()
    if text.startswith("-----"):
        key: PrivateKeyTypes = _loaded(text)
    else:
        raw = unbase64(text)
        curve = ec.SECP256R1()
        key = (
            ec.derive_private_key(int.from_bytes(raw, "big"), curve) if len(raw) == _SCALAR else _loaded(raw)
        )
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not on P-256")  # noqa: TRY004 - to the caller it is one of many malformed texts
    return key


def rsa_key(text: str) -> rsa.RSAPrivateKey:
    """An RSA key as PEM; ValueError where it is none."""
    key = _loaded(text)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not RSA")  # noqa: TRY004 - as above
    return key


def jwt(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, claims: Mapping[str, Any], **header: str) -> str:
    """A signed token in compact form: ES256 or RS256, as the key is (RFC 7518, sections 3.3 and 3.4)."""
    is_elliptic = isinstance(key, ec.EllipticCurvePrivateKey)
    head = {"alg": "ES256" if is_elliptic else "RS256", "typ": "JWT", **header}
    signed = f"{base64url(msgspec.json.encode(head))}.{base64url(msgspec.json.encode(claims))}"
    return f"{signed}.{base64url(_signature(key, signed.encode()))}"


def base64url(raw: bytes) -> str:
    """RFC 7515, section 2: without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unbase64(text: str) -> bytes:
    """Base64 in either alphabet, padded or not; ValueError where it is neither."""
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _signature(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, signed: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), SHA256())
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
    return r.to_bytes(_SCALAR, "big") + s.to_bytes(_SCALAR, "big")


def _loaded(key: str | bytes) -> PrivateKeyTypes:
    try:
        if isinstance(key, str):
            return load_pem_private_key(key.encode(), password=None)
        return load_der_private_key(key, password=None)
    except (TypeError, UnsupportedAlgorithm):  # it wants a password, or is of a kind that nobody has
        raise ValueError("not a plain key") from None
