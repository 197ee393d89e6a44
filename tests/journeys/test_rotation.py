"""Keys are replaced while everything goes on, and the older ones end."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from uuid import UUID

import pytest

from comms.actions import (
    acceptance,
    consents,
    devices,
    erasure,
    messages,
    rewrapping,
    rotation,
    suppressions,
    tokens,
)
from comms.actions.acceptor import Acceptor
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.rotation import Progress
from comms.actions.setup import Setup
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.content import Plain
from comms.domain.errors import Refused
from comms.privacy.epochs import EpochKeys
from comms.privacy.keyring import MasterKey, MasterKeyWrong
from comms.settings import Settings
from comms.store.database import Database
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS, ask, outbox, tools
from tests.privacy.dump import SEALED, Dump, dump, opened

pytestmark = pytest.mark.anyio

NEW, OLD = (base64.b64encode(byte * 32).decode() for byte in (b"n", b"k"))


def process(database: Database, clock: FakeClock, master: str) -> House:
    """A process of its own that was started with this master key."""
    key = MasterKey(master)
    setup = Setup(database, key, clock, EpochKeys(key))
    return House(database, setup, Acceptor(database, clock), clock, Settings())


async def fill(house: House, caller: Caller, clock: FakeClock, worker: Worker) -> list[str]:
    """Something in every table that holds content; what was sent, then what waits."""
    about = About("loop", "p1", "email", "news")
    await devices.put(house, caller, "loop", "p1", "fcm", "a token", None)
    await consents.put_consent(house, caller, about, opted_in=False, source="call")
    await consents.put_preference(house, caller, about, enabled=False)
    await suppressions.add(house, caller, "loop", "bob@example.org", "complaint", "letter")
    await tokens.create(house, caller, "loop", [], None, None, "p1")
    recipients = {**RECIPIENTS, "push": "person"}
    asked = [ask(clock, channel, recipient=to, dedup_key=channel) for channel, to in recipients.items()]
    made = [(await acceptance.schedule(house, caller, each)).message["id"] for each in asked]
    clock.advance(300)
    while await worker.once():
        pass
    made.append((await acceptance.schedule(house, caller, ask(clock, dedup_key="waits"))).message["id"])
    return made


def key_ids(taken: Dump) -> set[int]:
    """Which of the brand's keys everything is sealed with."""
    values = [
        row[column] for table, columns in SEALED.items() for row in taken[table] for column, _, _ in columns
    ]
    return {int.from_bytes(value[1:3], "big") for value in values if value}


def in_time(clock: FakeClock) -> rotation.Tell:
    """Time passes while it is told of."""

    def tell(progress: Progress) -> None:
        clock.advance(10 if progress.doing == "waits" else 0)

    return tell


async def test_everything_is_sealed_anew_and_the_older_key_ends(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await fill(house, loop_health, clock, worker)
    before = await dump(house.database)
    read = sorted(opened(before, house.setup.master, house.setup.epochs))
    rows = sum(len(before[table]) for table in SEALED)
    assert await rotation.rotate(house, loop_health, ["loop"], in_time(clock), between=0) == rows
    after = await dump(house.database)
    assert (key_ids(before), key_ids(after)) == ({1}, {2})
    assert sorted(opened(after, house.setup.master, house.setup.epochs)) == read
    keys = {(row["purpose"], row["key_id"]): bytes(row["wrapped"]) for row in after["brand_key"]}
    assert keys["seal", 1] == b""
    assert keys["seal", 2]
    clock.advance(300)
    assert await worker.once() == 1
    assert (await messages.get_scheduled(house, loop_health, UUID(made[-1])))["status"] == "sent"


async def test_it_waits_for_what_was_begun_under_the_older_key(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await fill(house, loop_health, clock, worker)
    waited: list[int] = []

    def tell(progress: Progress) -> None:
        if progress.doing == "waits":
            waited.append(progress.seconds)
            clock.advance(20)

    await rotation.rotate(house, loop_health, ["loop"], tell, between=0)
    assert waited == [60, 40, 20]


async def test_what_was_written_late_under_the_older_key_is_found(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database
) -> None:
    """A worker that was handed the brand before its key changed goes on with it for a while."""
    await fill(house, loop_health, clock, worker)
    slow = process(database, clock, OLD)
    brand = await slow.setup.require_brand("loop")
    person = await slow.keys.one(brand, brand.person_hash("p1"))
    late: list[bytes] = []

    def tell(progress: Progress) -> None:
        if progress.doing == "waits" and not late:
            late.append(b"begun")
        clock.advance(10 if progress.doing == "waits" else 0)

    rotating = asyncio.create_task(rotation.rotate(house, loop_health, ["loop"], tell, between=0))
    while not late:
        await database.owner.fetchval("select 1")
    item = await database.owner.fetchrow("select * from inbox_item")
    assert item is not None
    text = person.seal(Plain(b"{}"), item["id"], "inbox")
    await database.owner.execute("update inbox_item set content = $1", text)
    await rotating
    assert key_ids(await dump(database)) == {2}


async def test_broken_off_it_goes_on(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database
) -> None:
    await fill(house, loop_health, clock, worker)

    def breaks(progress: Progress) -> None:
        if progress.doing == "delivery":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rotation.rotate(house, loop_health, ["loop"], breaks, between=0)
    assert key_ids(await dump(database)) == {1, 2}
    shown = await rewrapping.status(house)
    assert shown["brands"][0]["key_ids"] == [1, 2]
    await rotation.rotate(process(database, clock, OLD), loop_health, ["loop"], in_time(clock), between=0)
    assert key_ids(await dump(database)) == {2}
    assert (await rewrapping.status(house))["brands"][0]["key_ids"] == [2]


async def test_under_load_all_is_sent_and_nothing_is_left_behind(
    house: House, loop_health: Caller, clock: FakeClock, database: Database
) -> None:
    """Another process accepts and sends meanwhile, by what it knows of set-up."""
    other = process(database, clock, OLD)
    sends = Worker(other, tools(other))
    made: list[str] = []
    done = asyncio.Event()

    async def load() -> None:
        n = 0
        while not done.is_set() or n < 60:
            n += 1
            asked = ask(clock, dedup_key=f"k{n}", person_id=f"p{n % 7}")
            made.append((await acceptance.schedule(other, loop_health, asked)).message["id"])
            clock.advance(1)
            await sends.once()

    loading = asyncio.create_task(load())
    await rotation.rotate(house, loop_health, ["loop"], in_time(clock), between=0)
    done.set()
    await loading
    clock.advance(300)
    while await sends.once():
        pass
    shown = [await messages.get_scheduled(house, loop_health, UUID(each)) for each in made]
    assert {each["status"] for each in shown} == {"sent"}
    assert len(await outbox(house, loop_health)) == min(len(made), 100)
    assert key_ids(await dump(database)) == {2}


async def test_erased_persons_stay_erased_and_hinder_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database
) -> None:
    await fill(house, loop_health, clock, worker)
    await erasure.erase(house, loop_health, "loop", "p1")
    sealed = await rotation.rotate(house, loop_health, ["loop"], in_time(clock), between=0)
    assert sealed == 1  # the suppression
    assert {bytes(row["wrapped"] or b"") for row in (await dump(database))["person_key"]} == {b""}


async def test_one_rotation_at_a_time(
    house: House, loop_health: Caller, clock: FakeClock, database: Database
) -> None:
    async with rotation.alone(process(database, clock, OLD)):
        with pytest.raises(Refused, match="rotation_under_way"):
            await rotation.rotate(house, loop_health, ["loop"], in_time(clock), between=0)
    await rotation.rotate(house, loop_health, ["loop"], in_time(clock), between=0)


async def test_the_master_key_is_replaced_and_nothing_sealed_changes(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database
) -> None:
    made = await fill(house, loop_health, clock, worker)
    await database.owner.execute("update installation set proof = $1", house.setup.master.proof())
    before = await dump(database)
    both = process(database, clock, f"{NEW}\n{OLD}\n")
    assert (await rewrapping.status(both))["to_rewrap"] == 2
    changed = await rewrapping.rewrap(both)
    assert changed == (2, 0, 1)
    assert await rewrapping.rewrap(both) == (0, 0, 0)
    after = await dump(database)
    assert {table: after[table] for table in SEALED} == {table: before[table] for table in SEALED}
    alone = process(database, clock, NEW)
    MasterKey(NEW).check(after["installation"][0]["proof"])
    assert (await messages.get_scheduled(alone, loop_health, UUID(made[0])))["person_id"] == "p1"
    with pytest.raises(MasterKeyWrong):
        await messages.get_scheduled(process(database, clock, OLD), loop_health, UUID(made[0]))
    await database.owner.execute("update installation set proof = null")


async def test_without_the_older_master_key_nothing_is_wrapped_anew(
    loop_health: Caller, clock: FakeClock, database: Database
) -> None:
    assert loop_health.brand_id == "*"
    before: Any = (await dump(database))["brand_key"]
    with pytest.raises(MasterKeyWrong):
        await rewrapping.rewrap(process(database, clock, NEW))
    assert (await dump(database))["brand_key"] == before
