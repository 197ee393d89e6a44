"""Persons' keys: found for reading, made and remembered for sealing.

What is read is always opened with what the database says at that moment: an erasure needs nobody's
ear. Only for accepting messages is a secret remembered, and the statement that writes a message looks
whether it still is the person's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg
import structlog

from comms.actions.setup import Brand, Setup
from comms.clock import Clock
from comms.domain.content import Sealed
from comms.domain.errors import Unavailable
from comms.domain.ids import bucket_of_digest
from comms.gather import Gather
from comms.privacy.cipher import PersonCipher
from comms.privacy.epochs import EpochKeyMissing
from comms.privacy.keyring import new_key
from comms.store import keys as rows
from comms.store.database import Connection, Database
from comms.store.keys import PersonKey

log = structlog.get_logger()

_KEPT = 20_000
"""Persons whose secrets are remembered: a kilobyte or two each."""

_TOGETHER = 256
_TRIES = 5


@dataclass(slots=True)
class Sealing:
    """What messages to one person are sealed under; `new`: wrapped, until it is known to be written."""

    brand: Brand
    person: PersonKey
    secret: bytes
    cipher: PersonCipher
    epoch: int
    new: Sealed | None


class PersonKeys:
    """The persons' keys of one process."""

    def __init__(self, database: Database, setup: Setup, clock: Clock) -> None:
        self._database = database
        self._setup = setup
        self._clock = clock
        self._known: OrderedDict[PersonKey, Sealing] = OrderedDict()
        self._looks: Gather[PersonKey, asyncpg.Record | None] = Gather(self._look, _TOGETHER, writers=2)

    async def sealing(self, brand: Brand, person_hash: bytes) -> Sealing:
        """What a new message to this person is sealed under; a new secret is written with the message."""
        person = key_of(brand, person_hash)
        known = self._known.get(person)
        if known is None:
            row = await self._looks.submit(person)
            made = await self._sealing(brand, person, row)
            # Somebody may have made one while we looked: two that are not written yet would be one too many.
            known = self._known.setdefault(person, made)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        elif known.brand is not brand:  # set-up has moved: the brand may have another key
            known.brand, generation = brand, known.cipher.generation
            known.cipher = PersonCipher(brand.cipher, known.secret, generation)
        self._known.move_to_end(person)
        return known

    def forget(self, sealing: Sealing) -> None:
        """The message was not written: perhaps the person's secret is another one now."""
        if self._known.get(sealing.person) is sealing:
            del self._known[sealing.person]

    async def hold(self, connection: Connection, brand: Brand, person_hash: bytes) -> PersonCipher:
        """The person's cipher, made where there is none; nobody erases the person in this transaction."""
        person = key_of(brand, person_hash)
        for _ in range(_TRIES):
            row = await rows.hold(connection, person)
            if row is not None and row["wrapped"] is not None:
                return self._cipher(brand, person, row)
            _, generation, epoch, wrapped = await self._make(person, row)
            await rows.put(connection, person, generation, epoch, wrapped, self._clock.now())
        raise Unavailable

    async def hold_all(
        self, connection: Connection, brand: Brand, person_hashes: Iterable[bytes]
    ) -> dict[bytes, PersonCipher]:
        """The same for many persons of a brand, in their order, so that two who do it do not embrace."""
        wanted = sorted(key_of(brand, each) for each in set(person_hashes))
        for _ in range(_TRIES):
            held = {row["person_hash"]: row for row in await rows.hold_all(connection, wanted)}
            lacking = [each for each in wanted if each.person_hash not in held]
            if not lacking:
                return {
                    each.person_hash: self._cipher(brand, each, held[each.person_hash]) for each in wanted
                }
            before = {row["person_hash"]: row for row in await rows.persons(connection, lacking)}
            for person in lacking:
                _, generation, epoch, wrapped = await self._make(person, before.get(person.person_hash))
                await rows.put(connection, person, generation, epoch, wrapped, self._clock.now())
        raise Unavailable

    async def one(
        self, brand: Brand, person_hash: bytes, connection: Connection | None = None
    ) -> PersonCipher:
        """The person's cipher as the database has it now.

        Who holds a connection of the engine's hands it over: all that wait for a second one would wait for
        each other.
        """
        read = await rows.persons(connection or self._database.engine, [key := key_of(brand, person_hash)])
        return self._cipher(brand, key, read[0]) if read else _nobody(brand)

    async def many(self, brand: Brand, person_hashes: Iterable[bytes]) -> dict[bytes, PersonCipher]:
        """The same for many persons of a brand, in one round trip."""
        wanted = [key_of(brand, each) for each in set(person_hashes)]
        found = {each: _nobody(brand) for each in wanted}
        for row in await rows.persons(self._database.engine, wanted) if wanted else []:
            person = PersonKey(row["bucket"], row["brand_id"], row["person_hash"])
            found[person] = self._cipher(brand, person, row)
        return {person.person_hash: cipher for person, cipher in found.items()}

    async def each(self, wanted: list[tuple[Brand, bytes]]) -> list[PersonCipher | Exception]:
        """The same for persons of any brands, one for each that was asked for."""
        keys = [key_of(brand, person_hash) for brand, person_hash in wanted]
        read = await rows.persons(self._database.engine, set(keys))
        found = {PersonKey(row["bucket"], row["brand_id"], row["person_hash"]): row for row in read}
        return [
            self._cipher(brand, key, found[key]) if key in found else _nobody(brand)
            for (brand, _), key in zip(wanted, keys, strict=True)
        ]

    def unwrap(self, person: PersonKey, row: asyncpg.Record) -> bytes:
        """The secret of a row that is not destroyed; 503 where its epoch's key is not here."""
        try:
            key = self._setup.epochs.key(row["epoch"])
        except EpochKeyMissing:
            log.error("epoch_key_missing", epoch=row["epoch"], advice="comms doctor says where it should be")
            raise Unavailable from None
        return key.unwrap(row["wrapped"], purpose(person, row["generation"]))

    def wrap(self, person: PersonKey, generation: int, epoch: int, secret: bytes) -> Sealed:
        """A secret as it is kept; 503 where the epoch's key is not here."""
        try:
            return self._setup.epochs.key(epoch).wrap(secret, purpose(person, generation))
        except EpochKeyMissing:
            log.error("epoch_key_missing", epoch=epoch, advice="comms doctor says where it should be")
            raise Unavailable from None

    def _cipher(self, brand: Brand, person: PersonKey, row: asyncpg.Record) -> PersonCipher:
        secret = None if row["wrapped"] is None else self.unwrap(person, row)
        return PersonCipher(brand.cipher, secret, row["generation"])

    async def _sealing(self, brand: Brand, person: PersonKey, row: asyncpg.Record | None) -> Sealing:
        if row is None or row["wrapped"] is None:
            secret, generation, epoch, new = await self._make(person, row)
        else:
            secret, generation, epoch, new = self.unwrap(person, row), row["generation"], row["epoch"], None
        return Sealing(brand, person, secret, PersonCipher(brand.cipher, secret, generation), epoch, new)

    async def _make(self, person: PersonKey, before: asyncpg.Record | None) -> tuple[bytes, int, int, Sealed]:
        """The person's next secret: itself, generation, epoch, wrapped."""
        secret, epoch = new_key(), await self._setup.key_epoch()
        generation = before["generation"] + 1 if before else 1
        return secret, generation, epoch, self.wrap(person, generation, epoch, secret)

    async def _look(self, wanted: list[PersonKey]) -> list[asyncpg.Record | Exception | None]:
        read = await rows.persons(self._database.engine, set(wanted))
        found = {PersonKey(row["bucket"], row["brand_id"], row["person_hash"]): row for row in read}
        return [found.get(each) for each in wanted]


def key_of(brand: Brand, person_hash: bytes) -> PersonKey:
    """Where a person's secret is."""
    return PersonKey(bucket_of_digest(person_hash), brand.brand_id, person_hash)


def purpose(person: PersonKey, generation: int) -> str:
    """What a person's secret is wrapped for."""
    return f"person/{generation}/{person.person_hash.hex()}/{person.brand_id}"


def _nobody(brand: Brand) -> PersonCipher:
    """Of a person who never had a secret: what was sealed before persons had one opens, and nothing else."""
    return PersonCipher(brand.cipher, None, 0)
