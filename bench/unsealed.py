"""The command `comms` with nothing sealed: what sealing costs is measured beside it.

    python -m bench.unsealed api

Content is kept as it is, no person has a key, and accepting asks for none. The keyed hashes stay: they are
how rows are found, not how they are sealed.
"""

from __future__ import annotations

from uuid import UUID

from comms.actions import person_keys
from comms.actions.person_keys import PersonKeys, Sealing, key_of
from comms.actions.setup import Brand
from comms.cli.main import main
from comms.domain.content import Plain, Sealed
from comms.privacy.cipher import PersonCipher
from comms.store import statements


class NullCipher(PersonCipher):
    """Gives back what it is given."""

    def seal(self, plain: Plain, row: UUID, field: str) -> Sealed:
        """As it is."""
        del row, field
        return Sealed(plain)

    def open(self, sealed: Sealed, row: UUID, field: str) -> Plain:
        """As it is."""
        del row, field
        return Plain(sealed)

    def is_erased(self, sealed: Sealed) -> bool:
        """Nobody ever is."""
        return not sealed


async def _sealing(_keys: PersonKeys, brand: Brand, person_hash: bytes) -> Sealing:
    cipher = NullCipher(brand.cipher, None, 1)
    return Sealing(brand, key_of(brand, person_hash), b"", cipher, 0, None)


async def _each(_keys: PersonKeys, wanted: list[tuple[Brand, bytes]]) -> list[PersonCipher | Exception]:
    return [NullCipher(brand.cipher, None, 1) for brand, _ in wanted]


def unseal() -> None:
    """From here on this process seals nothing."""
    accept = statements.load("messages")["accept"]
    text = accept.sql.replace(
        "key_hash, id, kind, fingerprint from sealed", "key_hash, id, kind, fingerprint from given"
    )
    assert text != accept.sql
    statements.load("messages")["accept"] = accept._replace(sql=text)
    person_keys.PersonKeys.sealing = _sealing  # type: ignore[method-assign, assignment]
    person_keys.PersonKeys.each = _each  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    unseal()
    main()
