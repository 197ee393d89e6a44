"""What a message says, in the shapes that it passes through.

`Plain` may be read by anybody who holds it; `Sealed` is ciphertext. They are two
types so that storing the one where the other is meant fails the type check. The
only door between them is `comms.privacy.cipher`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

Plain = NewType("Plain", bytes)
"""Readable bytes (UTF-8 JSON, mostly). Never stored, never logged."""

Sealed = NewType("Sealed", bytes)
"""AES-GCM-SIV ciphertext with its header. The only content that `store` takes."""

ERASED = "erased"
"""What stands where something of a person stood whose key is destroyed."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template version with its variables filled in: what a provider is handed.

    `subject` is the e-mail's subject, or the title of a push or in-app message;
    None for SMS. `body` is HTML for e-mail, text elsewhere. `text` is the plain
    part of an e-mail, None for other channels. `unsubscribe_url` is where an e-mail
    that is not transactional can be unsubscribed from with one click (RFC 8058).
    """

    subject: str | None
    body: str
    text: str | None = None
    action_url: str | None = None
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True)
class SecurePage:
    """What waits behind a message's `secure_link`: text, shown once, to who gives the proof."""

    title: str
    body: str
