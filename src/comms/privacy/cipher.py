"""The doors between `Plain` and `Sealed`, and the keyed hashes that find sealed things again.

AES-256-GCM-SIV (RFC 8452): a repeated nonce costs only equality of equal texts, so random
nonces are safe for any number of rows. The associated data binds a ciphertext to its brand,
its row and its field: moved elsewhere it does not open.

What belongs to a person is sealed under a key that two secrets make: the brand's and the
person's own. Whoever lacks one of them reads nothing; the person's can be destroyed alone.

    brand's   1 (1 byte) | key id (2 bytes)                        | nonce (12 bytes) | ciphertext and tag
    person's  2 (1 byte) | key id (2 bytes) | generation (2 bytes) | nonce (12 bytes) | ciphertext and tag

The key id says which of the brand's keys it was; the generation which of the person's secrets:
a person who is written to after an erasure has another one.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from comms.domain.content import Plain, Sealed

SECRET_BYTES = 32
_BRANDS = 1
_PERSONS = 2
_NONCE = 12
_HEADER = 3
_PERSONS_HEADER = 5


class CannotOpen(Exception):
    """The ciphertext was made with another key, for another row, or was changed."""


class Erased(CannotOpen):
    """The person's secret that it was sealed under is destroyed: nobody can open it, ever."""


class Cipher:
    """One brand's keys. `seal` uses the newest; `open` any that is known."""

    def __init__(self, brand_id: str, seal_keys: dict[int, bytes], hash_key: bytes) -> None:
        self._brand = brand_id.encode()
        self._seal_keys = seal_keys
        self._keys = {key_id: AESGCMSIV(key) for key_id, key in seal_keys.items()}
        self.newest = max(seal_keys)
        self._hash_key = hash_key
        self._begun: dict[str, blake2b] = {}

    def seal(self, plain: Plain, row: UUID, field: str) -> Sealed:
        """Ciphertext of `plain` that opens only as `field` of `row` of this brand."""
        header, nonce = bytes([_BRANDS]) + self.newest.to_bytes(2, "big"), os.urandom(_NONCE)
        text = self._keys[self.newest].encrypt(nonce, plain, self.bound_to(row, field))
        return Sealed(header + nonce + text)

    def open(self, sealed: Sealed, row: UUID, field: str) -> Plain:
        """The text back, or `CannotOpen`."""
        key = self._keys.get(key_id(sealed))
        if key is None or sealed[:1] != bytes([_BRANDS]):
            raise CannotOpen("sealed with a key that is not here")
        return decrypt(key, sealed, _HEADER, self.bound_to(row, field))

    def digest(self, kind: str, value: str | bytes) -> bytes:
        """A keyed hash (BLAKE2b, RFC 7693, 16 bytes): equal for equal values of one brand and kind.

        A fifth of HMAC-SHA-256's time, and each message needs a dozen: so each kind's is begun once.
        """
        begun = self._begun.get(kind)
        if begun is None:
            begun = self._begun[kind] = blake2b(kind.encode() + b"\0", key=self._hash_key, digest_size=16)
        hashed = begun.copy()
        hashed.update(value.encode() if isinstance(value, str) else value)
        return hashed.digest()

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, made of the hash key (HKDF-Expand, RFC 5869)."""
        return HKDFExpand(SHA256(), 32, b"comms/" + purpose.encode()).derive(self._hash_key)

    def with_secret(self, secret: bytes, key_id: int) -> AESGCMSIV | None:
        """The key that one of the brand's and a person's secret make; None where the brand's is not known.

        Keyed BLAKE2b as a pseudo-random function of the secret, which is random and of a key's length.
        """
        key = self._seal_keys.get(key_id)
        if key is None:
            return None
        return AESGCMSIV(blake2b(b"person\0" + secret, key=key, digest_size=32).digest())

    def bound_to(self, row: UUID, field: str) -> bytes:
        """The associated data."""
        return b"\0".join((self._brand, row.bytes, field.encode()))


class PersonCipher:
    """The door to one person's content.

    `secret` None: the one of this generation is destroyed, and so are those before it. Generation 0:
    there was none yet, and what there is was sealed under the brand's key before persons had their own.
    """

    __slots__ = ("_brand", "_erased", "_newest", "_secret", "generation")

    def __init__(self, brand: Cipher, secret: bytes | None, generation: int) -> None:
        self._brand = brand
        self._secret = secret
        self.generation = generation
        self._erased = generation if secret is None else generation - 1
        self._newest: AESGCMSIV | None = None

    @property
    def is_destroyed(self) -> bool:
        """Was the person erased, and nothing kept of them since?"""
        return self._secret is None and self.generation > 0

    def seal(self, plain: Plain, row: UUID, field: str) -> Sealed:
        """As a brand's cipher does. What comes for a person who is erased is sealed for nobody."""
        if self.generation == 0:
            return self._brand.seal(plain, row, field)
        newest, nonce = self._brand.newest, os.urandom(_NONCE)
        key = self._key(newest) if self._secret else AESGCMSIV(os.urandom(SECRET_BYTES))
        assert key is not None  # noqa: S101 - the newest is there
        header = bytes([_PERSONS]) + newest.to_bytes(2, "big") + self.generation.to_bytes(2, "big")
        return Sealed(header + nonce + key.encrypt(nonce, plain, self._brand.bound_to(row, field)))

    def open(self, sealed: Sealed, row: UUID, field: str) -> Plain:
        """The text back; `Erased` where its secret is destroyed, else `CannotOpen`.

        What was sealed before persons had keys is under the brand's; an erasure empties that.
        """
        if sealed[:1] == bytes([_BRANDS]):
            return self._brand.open(sealed, row, field)
        if self.is_erased(sealed):
            raise Erased("the person was erased")
        mine = sealed[:1] == bytes([_PERSONS]) and _generation(sealed) == self.generation
        key = self._key(key_id(sealed)) if mine else None
        if key is None:
            raise CannotOpen("sealed with a key that is not here")
        return decrypt(key, sealed, _PERSONS_HEADER, self._brand.bound_to(row, field))

    def is_erased(self, sealed: Sealed) -> bool:
        """Will nobody ever open it again?"""
        return not sealed or (sealed[:1] == bytes([_PERSONS]) and _generation(sealed) <= self._erased)

    def is_stale(self, sealed: Sealed) -> bool:
        """Shall it be sealed anew: with another key than the brand's newest, or none of the person's?"""
        if self.is_erased(sealed):
            return False
        return sealed[:1] == bytes([_BRANDS]) or key_id(sealed) != self._brand.newest

    def _key(self, key_id: int) -> AESGCMSIV | None:
        assert self._secret is not None  # noqa: S101 - looked at before
        if key_id != self._brand.newest:
            return self._brand.with_secret(self._secret, key_id)
        if self._newest is None:
            self._newest = self._brand.with_secret(self._secret, key_id)
        return self._newest


def key_id(sealed: Sealed) -> int:
    """Which of the brand's keys it was sealed with."""
    return int.from_bytes(sealed[1:3], "big")


def _generation(sealed: Sealed) -> int:
    """Which of the person's secrets it was sealed under."""
    return int.from_bytes(sealed[3:5], "big")


def decrypt(key: AESGCMSIV, sealed: Sealed, header: int, bound_to: bytes) -> Plain:
    """The text behind a header of so many bytes and its nonce."""
    begins = header + _NONCE
    try:
        return Plain(key.decrypt(sealed[header:begins], sealed[begins:], bound_to))
    except InvalidTag:
        raise CannotOpen("the ciphertext does not belong here") from None
