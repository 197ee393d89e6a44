"""Epochs: with the key of one the back-ups of its time end, and nobody who is alive is lost."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from comms.actions import (
    epochs,
    erasure,
    messages,
)
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.privacy.epochs import EpochKeyMissing, EpochKeys
from comms.privacy.keyring import MasterKey
from comms.store import keys as key_rows
from comms.store.database import Database
from comms.testing import FakeClock
from tests.journeys.erased import EVERYWHERE, MASTER, NAME, PERSON, another, house, live, names, of, worker
from tests.privacy.dump import Dump, dump, opened

__all__ = ["house", "worker"]

pytestmark = pytest.mark.anyio


async def test_a_back_up_can_be_read_until_its_epoch_is_over(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    await live(house, loop_health, clock, worker, PERSON, NAME)
    kept = await dump(house.database)
    await erasure.erase(house, loop_health, "loop", PERSON)

    def readable(taken: Dump) -> set[tuple[str, str]]:
        return of(opened(taken, MasterKey(MASTER), EpochKeys(MasterKey(MASTER), tmp_path)), PERSON, NAME)

    await epochs.keep(house)
    assert not (tmp_path / "2.key").exists()  # not for each erasure an epoch
    clock.advance(epochs.SHORTEST.total_seconds())
    await epochs.keep(house)
    assert (tmp_path / "2.key").exists()
    clock.advance(epochs.KEPT.total_seconds() - 1)
    await epochs.keep(house)
    assert readable(kept) == EVERYWHERE
    clock.advance(2)
    await epochs.keep(house)
    assert not (tmp_path / "1.key").exists()
    assert readable(kept) - {("suppression", "content")} == set()  # an address's, under the brand's key


async def test_live_persons_move_to_the_new_epoch_and_stay_readable(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database, tmp_path: Path
) -> None:
    made = await live(house, loop_health, clock, worker, "Ocelot", "Marimba")
    await erasure.erase(house, loop_health, "loop", "nobody in particular")
    for _ in range(2):
        clock.advance(epochs.KEPT.total_seconds() + 1)
        await epochs.keep(house)
    assert names(tmp_path) == ["2.key"]
    elsewhere = another(database, clock, tmp_path)
    shown = await messages.get_scheduled(elsewhere, loop_health, UUID(made[0]))
    assert shown["person_id"] == "Ocelot"
    rows = await key_rows.epochs(database.owner)
    assert [(row["epoch"], row["persons"], row["destroyed_at"] is None) for row in rows] == [
        (1, 0, False),
        (2, 1, True),
    ]


async def test_a_key_that_still_wraps_a_live_secret_is_not_destroyed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    await live(house, loop_health, clock, worker, "Ocelot", "Marimba")
    await erasure.erase(house, loop_health, "loop", PERSON)
    clock.advance(epochs.SHORTEST.total_seconds())
    assert await epochs.turn(house)
    clock.advance(epochs.KEPT.total_seconds() + 1)
    assert await epochs.end(house) == []
    assert await epochs.rewrap(house, pause=0) == 1
    assert await epochs.end(house) == [1]
    assert names(tmp_path) == ["2.key"]


async def test_without_an_erasure_an_epoch_does_not_end(house: House, clock: FakeClock) -> None:
    clock.advance(epochs.KEPT.total_seconds() * 20)
    assert not await epochs.turn(house)


async def test_an_epoch_key_that_is_gone_or_another_is_told_apart(tmp_path: Path) -> None:
    master = MasterKey(MASTER)
    first = EpochKeys(master, tmp_path / "a")
    assert first.make(1)
    assert not first.make(1)
    assert (tmp_path / "a" / "1.key").stat().st_mode & 0o777 == 0o600
    second = EpochKeys(master, tmp_path / "b")
    with pytest.raises(EpochKeyMissing, match="can't be read"):
        second.check(1, first.proof(1))
    second.make(1)
    with pytest.raises(EpochKeyMissing, match="share one directory"):
        second.check(1, first.proof(1))
    with pytest.raises(EpochKeyMissing, match="COMMS_EPOCH_KEYS_DIR"):
        EpochKeys(master).check(1, first.proof(1))
    first.destroy(1)
    with pytest.raises(EpochKeyMissing):
        EpochKeys(master, tmp_path / "a").key(1)
