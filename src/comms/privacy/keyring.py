"""Keys that wrap keys: the master key, which is never stored, and what it protects."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from comms.domain.content import Plain, Sealed

KEY_BYTES = 32
_CHECK = Plain(b"comms master key")


class MasterKeyWrong(Exception):
    """The master key is missing, malformed, or not the one that this database was sealed with."""


class MasterKey:
    """Wraps brand keys and provider secrets. `text` is 32 bytes in base64 or hexadecimal."""

    def __init__(self, text: str) -> None:
        self._aead = AESGCMSIV(_decode(text.strip()))

    def wrap(self, secret: bytes, purpose: str) -> Sealed:
        """Ciphertext of `secret` that opens only for the same `purpose`."""
        nonce = os.urandom(12)
        return Sealed(nonce + self._aead.encrypt(nonce, secret, purpose.encode()))

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """The secret back; `MasterKeyWrong` where another master key wrapped it."""
        try:
            return self._aead.decrypt(wrapped[:12], wrapped[12:], purpose.encode())
        except InvalidTag:
            raise MasterKeyWrong(
                "The master key is not the one that this database was sealed with; start with the right one."
            ) from None

    def proof(self) -> Sealed:
        """What is kept in the database so that a wrong master key is noticed at the start."""
        return self.wrap(_CHECK, "proof")

    def check(self, proof: bytes) -> None:
        """Raise `MasterKeyWrong` unless `proof` was made with this key."""
        self.unwrap(proof, "proof")


def new_key() -> bytes:
    """32 random bytes."""
    return os.urandom(KEY_BYTES)


def make_key_file(path: Path) -> bool:
    """Write a new master key to `path`, readable by its owner alone; False where one is there already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(base64.b64encode(new_key()).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def _decode(text: str) -> bytes:
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyWrong(
            "The master key must be 32 bytes in base64 or hexadecimal: openssl rand -base64 32."
        )
    return key
