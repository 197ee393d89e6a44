"""The master key is replaced: only wrappings change, and nothing that is sealed.

Where two master keys are given the first wraps and both unwrap. What the second one wrapped is wrapped
anew, and what is wrapped by the first already stays: broken off, it goes on where it is asked for again.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from comms.actions.house import House
from comms.actions.person_keys import purpose
from comms.actions.rotation import alone
from comms.actions.setup import key_purpose
from comms.domain.content import Sealed
from comms.domain.schedule import show
from comms.privacy.epochs import MASTERS
from comms.privacy.keyring import MasterKeyWrong
from comms.store import keys
from comms.store import rotation as rows
from comms.store.keys import PersonKey, Rewrapped

_BITE = 500
_PAUSE = 0.02


class Wrapped(NamedTuple):
    """How many wrappings were changed."""

    brand_keys: int
    providers: int
    persons: int


async def rewrap(house: House) -> Wrapped:
    """Wrap everything with the first master key, the keys that find things again as well."""
    async with alone(house):
        changed = Wrapped(await _brand_keys(house), await _providers(house), await _persons(house))
        if any(changed) or _anew(house, await _proof(house), "proof"):
            await rows.execute(house.database.owner, "put_proof", house.setup.master.proof())
        return changed


async def status(house: House) -> dict[str, Any]:
    """What there is of keys, without any of them."""
    owner = house.database.owner
    brands = await rows.many(owner, "status")
    epochs = await keys.epochs(owner)
    return {
        "brands": [
            {"brand_id": row["brand_id"], "key_ids": row["key_ids"], "since": show(row["since"])}
            for row in brands
        ],
        "epochs": [
            {
                "epoch": row["epoch"],
                "persons": row["persons"],
                "made_at": show(row["made_at"]),
                "replaced_at": show(row["replaced_at"]) if row["replaced_at"] else None,
                "destroyed_at": show(row["destroyed_at"]) if row["destroyed_at"] else None,
            }
            for row in epochs
        ],
        "epoch_keys_dir": str(house.setup.epochs.directory) if house.setup.epochs.directory else None,
        "to_rewrap": len(await _brand_wrappings(house)) + len(await _provider_wrappings(house)),
    }


async def _proof(house: House) -> Sealed:
    return Sealed(await rows.one(house.database.owner, "proof"))


def _anew(house: House, wrapped: Sealed, what: str) -> Sealed | None:
    """Wrapped by the first key; None where it is already."""
    master = house.setup.master
    try:
        master.first_alone().unwrap(wrapped, what)
    except MasterKeyWrong:
        return master.wrap(master.unwrap(wrapped, what), what)
    return None


async def _brand_wrappings(house: House) -> list[tuple[Any, ...]]:
    """Key, what it is and what it shall be, of those that another master key wraps."""
    found = await rows.many(house.database.owner, "brand_wrappings")
    keyed = [(row["brand_id"], row["purpose"], row["key_id"], Sealed(row["wrapped"])) for row in found]
    anew = [(*each, _anew(house, each[-1], key_purpose(*each[:3]))) for each in keyed]
    return [each for each in anew if each[-1] is not None]


async def _provider_wrappings(house: House) -> list[tuple[Any, ...]]:
    found = await rows.many(house.database.owner, "provider_wrappings")
    keyed = [(row["provider_id"], Sealed(row["secrets"])) for row in found]
    anew = [(*each, _anew(house, each[-1], f"provider/{each[0]}")) for each in keyed]
    return [each for each in anew if each[-1] is not None]


async def _brand_keys(house: House) -> int:
    owner, anew = house.database.owner, await _brand_wrappings(house)
    return sum([await rows.one(owner, "rewrap_brand_key", *each) or 0 for each in anew])


async def _providers(house: House) -> int:
    owner, anew = house.database.owner, await _provider_wrappings(house)
    return sum([await rows.one(owner, "rewrap_provider", *each) or 0 for each in anew])


async def _persons(house: House) -> int:
    """Secrets of the epoch whose key is the master key, in bites with a pause between."""
    after, changed = PersonKey(-1, "", b""), 0
    while found := await rows.many(house.database.owner, "masters_persons", *after, _BITE):
        bite = []
        for row in found:
            after = PersonKey(row["bucket"], row["brand_id"], row["person_hash"])
            wrapped = _anew(house, Sealed(row["wrapped"]), purpose(after, row["generation"]))
            if wrapped is not None:
                bite.append(Rewrapped(*after, Sealed(row["wrapped"]), wrapped))
        changed += await keys.rewrap(house.database.engine, bite, MASTERS)
        await asyncio.sleep(_PAUSE)
    return changed
