"""Answers that open secure pages, as they are kept: a slow hash of a keyed one.

An answer such as a date of birth can be guessed from its hash alone. The key, derived from the brand's hash
key, keeps that from whoever has only the database; scrypt (RFC 7914) makes it slow for whoever has the
key, too. The salt is the keyed hash of the message's dedup key: no two messages share one, and the same
request has the same hash, which tells a repetition from another request.
"""

from __future__ import annotations

import base64
import hashlib

from comms.privacy.cipher import Cipher

_KEY = "secure page proof"
_COST = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}
"""16 MiB, and a tenth of a second where others work beside it."""


def hashed(cipher: Cipher, salt: bytes, answer: str) -> str:
    """43 characters (base64url) for an answer in its normal form. Takes its time: not for the event loop."""
    keyed = hashlib.blake2b(answer.encode(), key=cipher.derive(_KEY), digest_size=32).digest()
    slow = hashlib.scrypt(keyed, salt=salt, dklen=32, **_COST)
    return base64.urlsafe_b64encode(slow).rstrip(b"=").decode()
