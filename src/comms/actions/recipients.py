"""To whom a message goes, and what it says of itself: opened, as far as anybody can."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from comms.domain.content import Sealed
from comms.domain.options import Kept
from comms.privacy.cipher import PersonCipher

_NO_OPTIONS = Kept()


class Addressed(NamedTuple):
    """Of a person who was erased, that nobody knows any more who that was."""

    person_id: str
    recipient: str
    options: Kept
    erased: bool = False


def addressed(person: PersonCipher, message_id: UUID, address: Sealed, options: Sealed | None) -> Addressed:
    """Open a message's address and options."""
    if person.is_erased(address):
        return Addressed("", "", _NO_OPTIONS, erased=True)
    person_id, recipient, _ = msgspec.json.decode(person.open(address, message_id, "address"))
    if options is None:
        return Addressed(person_id, recipient, _NO_OPTIONS)
    opened = msgspec.json.decode(person.open(options, message_id, "options"), type=Kept)
    return Addressed(person_id, recipient, opened)
