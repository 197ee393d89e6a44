"""Keys that wrap keys: the master key, which is never stored, and what it protects."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from comms.domain.content import Plain, Sealed

KEY_BYTES = 32
_NONCE = 12
_CHECK = Plain(b"comms master key")


class MasterKeyWrong(Exception):
    """The master key is missing, malformed, or not the one that this database was sealed with."""


class WrappingKey:
    """Wraps other keys: `wrap` with the first of `keys`, `unwrap` with whichever fits."""

    def __init__(self, *keys: bytes) -> None:
        self._aeads = [AESGCMSIV(key) for key in keys]

    def wrap(self, secret: bytes, purpose: str) -> Sealed:
        """Ciphertext of `secret` that opens only for the same `purpose`."""
        nonce = os.urandom(_NONCE)
        return Sealed(nonce + self._aeads[0].encrypt(nonce, secret, purpose.encode()))

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """The secret back; `MasterKeyWrong` where another key wrapped it."""
        for aead in self._aeads:
            try:
                return aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], purpose.encode())
            except InvalidTag:
                continue
        raise MasterKeyWrong(
            "The master key is not the one that this database was sealed with; start with the right one."
        )


class MasterKey(WrappingKey):
    """Wraps brand keys and provider secrets. `text` is 32 bytes in base64 or hexadecimal.

    Or several such, with white space or a comma between: all unwrap, the first wraps. That is how
    one is replaced while the service runs.
    """

    def __init__(self, text: str) -> None:
        self._keys = [_decode(part) for part in text.replace(",", " ").split()] or [_decode("")]
        super().__init__(*self._keys)

    @property
    def several(self) -> bool:
        """Are there others than the one that wraps?"""
        return len(self._keys) > 1

    def first_alone(self) -> WrappingKey:
        """The one that wraps, to see what is not wrapped by it yet."""
        return WrappingKey(self._keys[0])

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
    """Write a new key to `path`, readable by its owner alone; False where one is there already.

    It is there whole or not at all: another process may be waiting to read it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(base64.b64encode(new_key()).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_directory(path.parent)
    return True


def read_key(path: Path) -> bytes:
    """The one key of a file; OSError where it can't be read, `MasterKeyWrong` where it is none."""
    return _decode(path.read_text().strip())


def sync_directory(path: Path) -> None:
    """What was made or removed in it stays so after a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
