"""A person is erased: nothing more goes to them, and no key opens what was kept of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from comms.actions import (
    acceptance,
    consents,
    devices,
    erasure,
    inbox,
    messages,
    suppressions,
    tokens,
)
from comms.actions.consents import About
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.content import Plain
from comms.domain.errors import Refused
from comms.store.database import Database
from comms.store.messages import Filter
from comms.testing import FakeClock
from tests.journeys.erased import EVERYWHERE, NAME, PERSON, another, house, live, of, worker
from tests.journeys.story import ask, events, outbox, status
from tests.privacy.dump import HASHES, SEALED, dump, mentions, opened

__all__ = ["house", "worker"]

pytestmark = pytest.mark.anyio


async def test_the_keys_open_all_of_a_person_before_and_nothing_after(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await live(house, loop_health, clock, worker, PERSON, NAME)
    await live(house, loop_health, clock, worker, "Ocelot", "Marimba")
    before = await dump(house.database)
    assert of(opened(before, house.setup.master, house.setup.epochs), PERSON, NAME) == EVERYWHERE

    await erasure.erase(house, loop_health, "loop", PERSON)
    after = await dump(house.database)
    read = opened(after, house.setup.master, house.setup.epochs)
    assert of(read, PERSON, NAME) == set()
    assert of(read, "Ocelot", "Marimba") == EVERYWHERE  # another person's
    for word in (PERSON, NAME, PERSON.lower()):
        assert mentions(before, word.encode()) == mentions(after, word.encode()) == []


async def test_every_column_of_bytes_is_known_for_what_it_is(database: Database) -> None:
    """A new one must be put under a person's key, or said why not."""
    columns = await database.owner.fetch(
        """select c.table_name, c.column_name from information_schema.columns c
             join information_schema.tables t using (table_schema, table_name)
            where c.table_schema = 'public' and c.data_type = 'bytea' and t.table_type = 'BASE TABLE'"""
    )
    found = {(row["table_name"], row["column_name"]) for row in columns}
    hashes = {(table, column) for table, named in HASHES.items() for column in named}
    assert found - EVERYWHERE - hashes <= {pair for pair in found if pair[1].endswith("_hash")}


async def test_what_waits_is_cancelled_and_what_is_left_shows_that_it_was_erased(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    *_, mailed, waits = await live(house, loop_health, clock, worker, PERSON, NAME)
    counted = len(await messages.find(house, loop_health, Filter("loop"), 100))
    done = await erasure.erase(house, loop_health, "loop", PERSON)
    assert done == {"brand_id": "loop", "person_id": PERSON, "erased_at": done["erased_at"], "cancelled": 1}
    shown = await messages.get_scheduled(house, loop_health, UUID(waits))
    assert (shown["status"], shown["failure_reason"]) == ("cancelled", "person_erased")
    assert await events(house, loop_health, waits) == ["accepted", "cancelled"]
    listed = await messages.find(house, loop_health, Filter("loop"), 100)
    assert len(listed) == counted
    gone = ("person_id", "recipient", "dedup_key")
    assert {each[name] for each in listed for name in gone} == {"erased"}
    assert {each["status"] for each in listed} == {"sent", "cancelled"}
    assert {each[name] for each in await outbox(house, loop_health) for name in ("recipient", "body")} == {
        "erased"
    }
    [item] = await inbox.listed(house, loop_health, "loop", PERSON, 10)
    assert (item["person_id"], item["title"], item["body"]) == ("erased", "erased", "erased")
    assert await devices.listed(house, loop_health, "loop", PERSON) == []
    assert "name" not in repr(await messages.explain(house, loop_health, UUID(mailed)))


async def test_erased_twice_is_erased_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await live(house, loop_health, clock, worker, PERSON, NAME)
    first = await erasure.erase(house, loop_health, "loop", PERSON)
    clock.advance(60)
    assert await erasure.erase(house, loop_health, "loop", PERSON) == {**first, "cancelled": 0}


async def test_a_key_that_was_used_stays_used(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    sent, waits = (
        ask(clock, dedup_key=key, after=timedelta(minutes=after)) for key, after in (("a", 1), ("b", 60))
    )
    first = await acceptance.schedule(house, loop_health, sent)
    await acceptance.schedule(house, loop_health, waits)
    clock.advance(60)
    await worker.once()
    await erasure.erase(house, loop_health, "loop", "p1")
    again = await acceptance.schedule(house, loop_health, sent)
    assert again.replayed
    assert again.message["id"] == first.message["id"]
    assert again.message["recipient"] == "erased"
    with pytest.raises(Refused, match="dedup_key_cancelled"):
        await acceptance.schedule(house, loop_health, waits)
    with pytest.raises(Refused, match="dedup_key_conflict"):
        await acceptance.schedule(house, loop_health, replace(sent, variables={"name": "Bob"}))


async def test_what_forbids_outlives_the_person_and_what_allowed_does_not(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await live(house, loop_health, clock, worker, PERSON, NAME)
    await erasure.erase(house, loop_health, "loop", PERSON)
    [consent] = await consents.consents(house, loop_health, "loop", PERSON, 10, None)
    assert (consent["category"], consent["opted_in"]) == ("news", False)
    assert (consent["person_id"], consent["source"]) == ("erased", "erased")
    [preference] = await consents.preferences(house, loop_health, "loop", PERSON, 10, None)
    assert (preference["category"], preference["enabled"], preference["person_id"]) == (
        "news",
        False,
        "erased",
    )
    standing = await suppressions.of_address(house, loop_health, "loop", f"{PERSON}@example.org")
    assert standing
    assert (standing["email"], standing["source"]) == ("erased", "erased")
    with pytest.raises(Refused, match="suppressed_complaint"):
        await acceptance.schedule(
            house,
            loop_health,
            ask(clock, "email", person_id="another", recipient=f"{PERSON}@example.org", scheduled_at=None),
        )
    check = await consents.check(house, loop_health, About("loop", PERSON, "email", "news"))
    assert (check["reason"], check["source"]) == ("opted_out", "erased")


async def test_who_is_written_to_again_starts_anew(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database, tmp_path: Path
) -> None:
    elsewhere = another(database, clock, tmp_path)  # its memory still holds the person's first secret
    first = await acceptance.schedule(elsewhere, loop_health, ask(clock))
    await erasure.erase(house, loop_health, "loop", "p1")
    again = await acceptance.schedule(elsewhere, loop_health, ask(clock, dedup_key="key-2"))
    clock.advance(300)
    assert await worker.once() == 1
    shown = [
        await messages.get_scheduled(house, loop_health, UUID(each.message["id"])) for each in (first, again)
    ]
    assert [(each["status"], each["person_id"]) for each in shown] == [
        ("cancelled", "erased"),
        ("sent", "p1"),
    ]


async def test_a_persons_own_tokens_end_with_them(house: House, loop_health: Caller) -> None:
    token = await tokens.create(house, loop_health, "loop", [], "hers", None, PERSON)
    assert (await tokens.authenticate(house, token, UUID(int=1))).person_id == PERSON
    await erasure.erase(house, loop_health, "loop", PERSON)
    with pytest.raises(Refused, match="invalid_token"):
        await tokens.authenticate(house, token, UUID(int=1))


async def test_what_was_sealed_before_persons_had_keys_is_emptied(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    sent, *_, waits = await live(house, loop_health, clock, worker, PERSON, NAME)
    await _as_before(house)
    assert (await messages.get_scheduled(house, loop_health, UUID(sent)))["person_id"] == PERSON
    await erasure.erase(house, loop_health, "loop", PERSON)
    read = opened(await dump(house.database), house.setup.master, house.setup.epochs)
    assert of(read, PERSON, NAME) == set()
    assert await status(house, loop_health, waits) == "cancelled"


async def _as_before(house: House) -> None:
    """Everything as an older version left it: under the brand's key, and no persons' keys at all."""
    brand = await house.setup.require_brand("loop")
    taken = await dump(house.database)
    ciphers = await house.keys.many(brand, {row["person_hash"] for row in taken["message"]})
    [person] = ciphers.values()
    for table in set(SEALED) - {"suppression", "token"}:
        for row in taken[table]:
            for column, row_id, field in SEALED[table]:
                if row[column] is None:
                    continue
                name = field.format(**row)
                plain: Plain = person.open(row[column], row[row_id], name)
                await house.database.owner.execute(
                    f"update {table} set {column} = $1 where {column} = $2",
                    brand.cipher.seal(plain, row[row_id], name),
                    row[column],
                )
    await house.database.owner.execute("delete from person_key")
