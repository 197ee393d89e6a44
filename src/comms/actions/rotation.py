"""A brand's key for sealing is replaced while everything goes on.

A new key seals from the moment that set-up moves; the older one opens until nothing is left under it.
All that is sealed is gone through in bites, each with a pause as long as it took, round after round, until
a round finds nothing and whatever was begun under the older key has ended. Then that key is destroyed.
Nothing is remembered but the keys: a rotation that broke off goes on when it is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import structlog

from comms.actions.house import House
from comms.actions.setup import Brand, key_purpose
from comms.domain.caller import Caller
from comms.domain.content import Sealed
from comms.domain.errors import Refused
from comms.privacy.cipher import CannotOpen, Cipher, PersonCipher, key_id
from comms.privacy.keyring import new_key
from comms.store import rotation as rows
from comms.store import setup as setup_rows
from comms.store.database import Connection
from comms.store.rotation import Place

log = structlog.get_logger()

_BITE = 200
_SHORTEST_PAUSE = 0.005
_BETWEEN_ROUNDS = 1.0


class Progress(NamedTuple):
    """How far it is: rows `seen` in this round of about `total`, and how many were sealed anew in all.

    `doing` is the table that is gone through; or `waits`, for `seconds`, until what was begun has ended.
    """

    round: int
    doing: str
    seen: int
    total: int
    sealed: int
    seconds: int = 0


Tell = Callable[[Progress], None]


class _Walk:
    """The rounds over all tables for some brands."""

    def __init__(self, house: House, brands: dict[str, Brand], tell: Tell) -> None:
        self._house = house
        self._brands = brands
        self._tell = tell
        self._round = 0
        self._seen = self._total = 0
        self.sealed = 0

    async def until_nothing_is_left(self, between: float) -> None:
        """Round after round; a row that somebody holds is left for the next one."""
        while await self._once_round():  # noqa: ASYNC110 - what is held, others let go of
            await asyncio.sleep(between)

    async def _once_round(self) -> int:
        """Once over everything; how many rows were found under an older key."""
        self._round += 1
        self._total = await rows.one(self._house.database.owner, "estimate")
        self._seen = stale = 0
        for place in rows.PLACES:
            after: tuple[Any, ...] | None = place.beginning
            while after is not None:
                began = self._house.clock.monotonic()
                async with self._house.database.owner.acquire() as connection, connection.transaction():
                    found = await rows.read(connection, place, list(self._brands), after, _BITE)
                    stale += await self._reseal(connection, place, found)
                self._seen += len(found)
                self.tell(place.table)
                after = tuple(found[-1][name] for name in place.key) if len(found) == _BITE else None
                await asyncio.sleep(max(_SHORTEST_PAUSE, self._house.clock.monotonic() - began))
        return stale

    def tell(self, doing: str, seconds: int = 0) -> None:
        """Say how far it is."""
        total = max(self._total, self._seen)
        self._tell(Progress(self._round, doing, self._seen, total, self.sealed, seconds))

    async def _reseal(self, connection: Connection, place: Place, found: list[asyncpg.Record]) -> int:
        """Seal a bite anew; how many rows of it were stale, written or not."""
        ciphers = await self._ciphers(connection, found)
        anew = [
            row
            for each, cipher in zip(found, ciphers, strict=True)
            if cipher is not None and (row := _anew(place, each, cipher)) is not None
        ]
        if anew:
            self.sealed += await rows.write(connection, place, anew)
        return len(anew)

    async def _ciphers(
        self, connection: Connection, found: list[asyncpg.Record]
    ) -> list[Cipher | PersonCipher | None]:
        """Whose each row is: a person's, the brand's, or (None) nobody's that we are asked for."""
        hashes: dict[str, set[bytes]] = {}
        for row in found:
            if row["brand_id"] in self._brands and row["person_hash"] is not None:
                hashes.setdefault(row["brand_id"], set()).add(row["person_hash"])
        persons = {
            (brand_id, each): cipher
            for brand_id, wanted in hashes.items()
            for each, cipher in (await self._house.keys.many(self._brands[brand_id], wanted)).items()
        }
        for (brand_id, each), cipher in persons.items():
            if cipher.generation == 0:  # sealed before persons had keys
                persons[brand_id, each] = await self._house.keys.hold(
                    connection, self._brands[brand_id], each
                )
        return [self._cipher(row, persons) for row in found]

    def _cipher(
        self, row: asyncpg.Record, persons: dict[tuple[str, bytes], PersonCipher]
    ) -> Cipher | PersonCipher | None:
        brand = self._brands.get(row["brand_id"])
        if brand is None or row["person_hash"] is None:
            return brand.cipher if brand else None
        return persons[row["brand_id"], row["person_hash"]]


async def rotate(
    house: House, caller: Caller, brand_ids: list[str], tell: Tell, between: float = _BETWEEN_ROUNDS
) -> int:
    """Give brands new keys for sealing, and destroy the older ones; how many rows were sealed anew."""
    async with alone(house):
        began = max([await _begin(house, caller, brand_id) for brand_id in brand_ids])
        house.setup.doubt()
        await house.setup.refresh()
        brands = {each: await house.setup.require_brand(each) for each in brand_ids}
        walk = _Walk(house, brands, tell)
        over = began + timedelta(seconds=2 * house.settings.lease_seconds)
        await walk.until_nothing_is_left(between)
        while (left := (over - house.clock.now()).total_seconds()) > 0:
            walk.tell("waits", round(left))  # for what was begun under the older key to end
            await asyncio.sleep(between)
        await walk.until_nothing_is_left(between)
        for each, brand in brands.items():
            await _retire(house, caller, each, brand.cipher.newest)
        house.setup.doubt()
        return walk.sealed


async def all_brands(house: House) -> list[str]:
    """Every brand's id."""
    return [row["brand_id"] for row in await rows.many(house.database.owner, "brands")]


@asynccontextmanager
async def alone(house: House) -> AsyncIterator[None]:
    """One at a time replaces keys, on all machines; refused where another does."""
    async with house.database.owner.acquire() as connection:
        if not await rows.one(connection, "try_lock"):
            raise Refused(
                409, "rotation_under_way", "Keys are being replaced by another process; wait for it."
            )
        try:
            yield
        finally:
            await rows.one(connection, "unlock")


async def _begin(house: House, caller: Caller, brand_id: str) -> datetime:
    """Since when the newest key seals: made now, unless a rotation broke off."""
    await house.setup.require_brand(brand_id)
    async with house.database.owner.acquire() as connection, connection.transaction():
        live = await rows.many(connection, "live_keys", brand_id)
        if len(live) > 1:
            began: datetime = live[-1]["created_at"]
            return began
        now, newest = house.clock.now(), live[-1]["key_id"] + 1
        wrapped = house.setup.master.wrap(new_key(), key_purpose(brand_id, "seal", newest))
        await setup_rows.write(connection, "add_brand_key", brand_id, "seal", newest, wrapped, now)
        by = (caller.actor, caller.request_id)
        await setup_rows.note(connection, brand_id, now, "brand_key_added", {"key_id": newest}, by)
        return now


async def _retire(house: House, caller: Caller, brand_id: str, newest: int) -> None:
    now, by = house.clock.now(), (caller.actor, caller.request_id)
    async with house.database.owner.acquire() as connection, connection.transaction():
        await rows.execute(connection, "retire", brand_id, newest, now)
        await setup_rows.move_epoch(connection)
        await setup_rows.note(connection, brand_id, now, "brand_key_destroyed", {"older_than": newest}, by)


def _anew(place: Place, row: asyncpg.Record, cipher: Cipher | PersonCipher) -> tuple[Any, ...] | None:
    """The row as it shall be, or None where nothing of it is stale."""
    written: list[Any] = [row[name] for name in place.key]
    is_stale = False
    for column, field in place.sealed:
        was = row[column]
        sealed = was
        if was is not None and _is_stale(cipher, Sealed(was)):
            name, row_id = field.format(**row), row[place.row_id]
            try:
                plain = cipher.open(Sealed(was), row_id, name)
            except CannotOpen:  # nobody can: no key is of use to it
                log.error("not_sealed_anew", table=place.table, row=str(row_id), field=name)
                return None
            sealed, is_stale = cipher.seal(plain, row_id, name), True
        written += [was, sealed]
    return tuple(written) if is_stale else None


def _is_stale(cipher: Cipher | PersonCipher, sealed: Sealed) -> bool:
    if isinstance(cipher, PersonCipher):
        return cipher.is_stale(sealed)
    return bool(sealed) and key_id(sealed) != cipher.newest
