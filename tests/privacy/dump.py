"""Whoever has a dump of the database and keys: what of it can they read?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from comms.actions.person_keys import purpose
from comms.actions.setup import key_purpose
from comms.domain.content import Sealed
from comms.privacy.cipher import CannotOpen, Cipher, PersonCipher
from comms.privacy.epochs import EpochKeyMissing, EpochKeys
from comms.privacy.keyring import MasterKey, MasterKeyWrong
from comms.store.database import Database
from comms.store.keys import PersonKey

Dump = dict[str, list[dict[str, Any]]]

SEALED: dict[str, list[tuple[str, str, str]]] = {
    "message": [("address", "id", "address"), ("variables", "id", "variables"), ("options", "id", "options")],
    "delivery": [("payload", "message_id", "payload/{n}")],
    "inbox_item": [("content", "id", "inbox")],
    "sandbox_item": [("content", "message_id", "sandbox")],
    "device": [("content", "device_id", "device")],
    "consent": [("content", "id", "consent")],
    "preference": [("content", "id", "preference")],
    "suppression": [("content", "id", "suppression")],
    "token": [("person", "token_id", "person")],
}
"""Of each table: the sealed column, the row's id, the field."""

HASHES = {
    "dedup": {"key_hash", "fingerprint"},
    "token": {"hash", "person_hash"},
    "brand_key": {"wrapped"},
    "person_key": {"person_hash", "wrapped"},
    "provider": {"secrets"},
    "fact": {
        "value_hash",
        "content",
    },  # what callers keep under names of their own, sealed under the brand's key
    "subscription": {"secrets"},
    "canary": {"recipient"},
    "audit_link": {"marks", "hash"},
    "installation": {"proof"},
    "key_epoch": {"proof"},
    "migration": {"checksum"},
}
"""What else is bytes, and tells nothing of a person."""


class Read(NamedTuple):
    """One sealed value that opened."""

    table: str
    column: str
    text: bytes


async def dump(database: Database) -> Dump:
    """Every row of every table, as a back-up has them."""
    tables = await database.owner.fetch("select tablename from pg_tables where schemaname = 'public'")
    names = [row["tablename"] for row in tables]
    return {
        name: [dict(row) for row in await database.owner.fetch(f'select * from "{name}"')] for name in names
    }


def opened(taken: Dump, master: MasterKey, epochs: EpochKeys) -> list[Read]:
    """All that opens, whichever of the keys it takes."""
    ciphers = {
        row["brand_id"]: list(_ciphers(taken, master, epochs, row["brand_id"])) for row in taken["brand"]
    }
    found = []
    for table, columns in SEALED.items():
        for row in taken[table]:
            for column, row_id, field in columns:
                text = _open(ciphers.get(row["brand_id"], []), row, column, row[row_id], field)
                found += [Read(table, column, text)] if text is not None else []
    return found


def mentions(taken: Dump, canary: bytes) -> list[str]:
    """The tables in which it stands in the clear."""
    return [name for name, rows in taken.items() if canary in repr(rows).encode()]


def _open(
    ciphers: list[Cipher | PersonCipher], row: dict[str, Any], column: str, row_id: UUID, field: str
) -> bytes | None:
    for cipher in ciphers:
        try:
            return cipher.open(Sealed(row[column] or b""), row_id, field.format(**row))
        except CannotOpen:
            continue
    return None


def _ciphers(
    taken: Dump, master: MasterKey, epochs: EpochKeys, brand_id: str
) -> Iterator[Cipher | PersonCipher]:
    keys: dict[str, dict[int, bytes]] = {"seal": {}, "hash": {}}
    for row in taken["brand_key"]:
        if row["brand_id"] == brand_id and row["wrapped"]:
            what = key_purpose(brand_id, row["purpose"], row["key_id"])
            keys[row["purpose"]][row["key_id"]] = master.unwrap(row["wrapped"], what)
    brand = Cipher(brand_id, keys["seal"], keys["hash"][1])
    yield brand
    for row in taken["person_key"]:
        if row["brand_id"] == brand_id and row["wrapped"]:
            person = PersonKey(row["bucket"], brand_id, row["person_hash"])
            for epoch in [0, *(each["epoch"] for each in taken["key_epoch"])]:  # whatever the row says
                try:
                    secret = epochs.key(epoch).unwrap(row["wrapped"], purpose(person, row["generation"]))
                except (EpochKeyMissing, MasterKeyWrong):
                    continue
                yield PersonCipher(brand, secret, row["generation"])
