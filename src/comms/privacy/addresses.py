"""Signed addresses: who holds one may do the one thing that it is for, without a login, until it ends.

Nothing personal can be read in one: what it says is encrypted, with a key that is derived from the
brand's hash key. AES-256-GCM-SIV (RFC 8452) refuses whatever was changed, in constant time; the
associated data binds it to its brand, its version and its purpose.

    address = base64url of: version (1 byte) | length (2) | brand | nonce (12) | ciphertext and tag
    plain   = expiry in seconds since 1970 (8 bytes) | content

The length of one depends on its content alone: a text that was measured with one stays that long.
"""

from __future__ import annotations

import base64
import binascii
import os
from datetime import datetime
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from comms.domain.content import Plain
from comms.privacy.cipher import Cipher

Purpose = Literal["unsubscribe", "preferences", "secure"]

_VERSION = b"\x01"
_KEY = "signed address"
_NONCE = 12
_EXPIRY = 8


class NotSigned(Exception):
    """It was not made here, for another purpose, or was changed."""


class Expired(Exception):
    """It was made here, and has ended."""


def sign(cipher: Cipher, brand_id: str, purpose: Purpose, content: Plain, expires: datetime) -> str:
    """What stands in the address, in characters that an address needs no escape for."""
    head, nonce = _head(brand_id), os.urandom(_NONCE)
    plain = int(expires.timestamp()).to_bytes(_EXPIRY, "big") + content
    sealed = AESGCMSIV(cipher.derive(_KEY)).encrypt(nonce, plain, head + purpose.encode())
    return base64.urlsafe_b64encode(head + nonce + sealed).rstrip(b"=").decode()


def brand_of(signed: str) -> str:
    """Whose key it is said to be signed with; `NotSigned` where it can't be one of ours."""
    raw = _decode(signed)
    length = int.from_bytes(raw[1:3], "big")
    if raw[:1] != _VERSION or len(raw) < 3 + length + _NONCE:
        raise NotSigned
    try:
        return raw[3 : 3 + length].decode()
    except UnicodeDecodeError:
        raise NotSigned from None


def read(cipher: Cipher, signed: str, purpose: Purpose, now: datetime) -> Plain:
    """What it says; `NotSigned`, or `Expired` where it only comes too late."""
    raw, head = _decode(signed), _head(brand_of(signed))
    nonce, sealed = raw[len(head) : len(head) + _NONCE], raw[len(head) + _NONCE :]
    try:
        plain = AESGCMSIV(cipher.derive(_KEY)).decrypt(nonce, sealed, head + purpose.encode())
    except InvalidTag:
        raise NotSigned from None
    if int.from_bytes(plain[:_EXPIRY], "big") <= now.timestamp():
        raise Expired
    return Plain(plain[_EXPIRY:])


def _head(brand_id: str) -> bytes:
    brand = brand_id.encode()
    return _VERSION + len(brand).to_bytes(2, "big") + brand


def _decode(signed: str) -> bytes:
    """One spelling only: what is spelt otherwise was not made here."""
    try:
        raw = base64.b64decode(signed + "=" * (-len(signed) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise NotSigned from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != signed:
        raise NotSigned
    return raw
