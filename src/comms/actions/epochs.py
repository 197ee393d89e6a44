"""Epochs of persons' keys: a new one begins after erasures, all secrets move to it, the old key is destroyed.

After the first erasure of a day the next day has a new epoch. Thirty days after it was replaced an epoch's
key is destroyed, once no live secret is wrapped with it: until then back-ups can be read, and no longer.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import structlog

from comms.actions.house import House
from comms.domain.content import Sealed
from comms.store import keys as rows
from comms.store import setup as setup_rows
from comms.store.keys import PersonKey, Rewrapped

log = structlog.get_logger()

SHORTEST = timedelta(days=1)
"""An epoch lasts that long at least, whatever is erased."""

KEPT = timedelta(days=30)
"""How long a replaced epoch's key is kept: how long a back-up is worth something."""

_BITE = 500


async def keep(house: House) -> None:
    """Begin an epoch where it is time, move secrets, destroy keys that are over. Safe by many at a time."""
    if house.setup.epochs.directory is None:
        return
    await turn(house)
    await rewrap(house)
    await end(house)


async def turn(house: House) -> bool:
    """Begin a new epoch where somebody was erased in this one and it is a day old; was it so?"""
    now, newest = house.clock.now(), await rows.newest(house.database.owner)
    if newest is None or now - newest["made_at"] < SHORTEST:
        return False
    if not await rows.ask(house.database.owner, "erased_since", newest["made_at"]):
        return False
    epoch = newest["epoch"] + 1
    house.setup.epochs.make(epoch)
    async with house.database.owner.acquire() as connection, connection.transaction():
        await rows.add_epoch(connection, epoch, house.setup.epochs.proof(epoch), now)
        await setup_rows.move_epoch(connection)
    house.setup.doubt()
    log.info("key_epoch_begun", epoch=epoch)
    return True


async def rewrap(house: House, pause: float = 0.05) -> int:
    """Wrap all live secrets with the newest epoch's key, in bites with a pause between; how many."""
    newest, done = await rows.newest(house.database.engine), 0
    while newest is not None:
        bite = await rows.live(house.database.engine, newest["epoch"], _BITE)
        moved = await rows.rewrap(
            house.database.engine, [_moved(house, each, newest["epoch"]) for each in bite], newest["epoch"]
        )
        done += moved
        if moved == 0:
            break  # none is left, or another worker does the same
        await asyncio.sleep(pause)
    return done


async def end(house: House) -> list[int]:
    """Destroy the keys of epochs whose time is over; which."""
    now, ended = house.clock.now(), []
    for epoch in await rows.outlived(house.database.owner, now - KEPT):
        if await rows.ask(house.database.owner, "wraps_none", epoch):
            house.setup.epochs.destroy(epoch)
            await rows.end_epoch(house.database.owner, epoch, now)
            log.info("epoch_key_destroyed", epoch=epoch)
            ended.append(epoch)
    return ended


def _moved(house: House, row: asyncpg.Record, epoch: int) -> Rewrapped:
    person = PersonKey(row["bucket"], row["brand_id"], row["person_hash"])
    secret = house.keys.unwrap(person, row)
    wrapped = house.keys.wrap(person, row["generation"], epoch, secret)
    return Rewrapped(*person, Sealed(row["wrapped"]), wrapped)
