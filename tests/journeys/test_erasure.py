"""A person is erased: nothing more goes to them, and no key opens what was kept of them."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from comms.actions import (
    acceptance,
    consents,
    devices,
    epochs,
    erasure,
    inbox,
    messages,
    suppressions,
    tokens,
)
from comms.actions.acceptor import Acceptor
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.setup import Setup
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.content import Plain
from comms.domain.errors import Refused
from comms.domain.options import Options
from comms.privacy.epochs import EpochKeyMissing, EpochKeys
from comms.privacy.keyring import MasterKey
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, TryLater
from comms.settings import Settings
from comms.store import keys as key_rows
from comms.store.database import Database
from comms.store.messages import Filter
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS, ask, events, outbox, status, tools
from tests.journeys.test_doubts import provide
from tests.privacy.dump import HASHES, SEALED, Dump, Read, dump, mentions, opened

__all__ = ["provide"]

pytestmark = pytest.mark.anyio

MASTER = base64.b64encode(b"k" * 32).decode()
NAME, PERSON = "Xylophone", "Quetzal"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def house(database: Database, clock: FakeClock, tmp_path: Path) -> House:
    """With a directory for the keys of epochs."""
    built = another(database, clock, tmp_path)
    built.setup.epochs.make(1)
    async with database.owner.acquire() as connection:
        await key_rows.add_epoch(connection, 1, built.setup.epochs.proof(1), clock.now())
    return built


def another(database: Database, clock: FakeClock, folder: Path) -> House:
    """Another process on the same database and directory."""
    master = MasterKey(MASTER)
    setup = Setup(database, master, clock, EpochKeys(master, folder))
    return House(database, setup, Acceptor(database, clock), clock, Settings())


@pytest.fixture
def worker(house: House) -> Worker:
    return Worker(house, tools(house))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def live(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, person: str, name: str
) -> list[str]:
    """A person of whom something is in every table that holds content; what was sent, then what waits."""
    about = About("loop", person, "email", "news")
    mail = f"{person}@example.org".lower()
    await devices.put(house, caller, "loop", person, "fcm", f"token of {person}", None)
    await consents.put_consent(house, caller, about, opted_in=False, source=f"{name}'s call")
    await consents.put_consent(
        house, caller, replaced(about, category="offers"), opted_in=True, source=f"{name}'s form"
    )
    await consents.put_preference(house, caller, about, enabled=False)
    await consents.put_preference(house, caller, replaced(about, category="offers"), enabled=True)
    await tokens.create(house, caller, "loop", [], None, None, person)
    to = {"email": mail, "sms": RECIPIENTS["sms"], "push": "person", "in_app": person}
    made = []
    for channel, recipient in to.items():
        changes: dict[str, Any] = {"recipient": recipient, "variables": {"name": name}}
        asked = ask(clock, channel, person_id=person, dedup_key=f"{channel} {person}", **changes)
        made.append((await acceptance.schedule(house, caller, asked)).message["id"])
    clock.advance(300)
    while await worker.once():
        pass
    later = ask(clock, person_id=person, dedup_key=f"later {person}", variables={"name": name})
    later = replace(later, options=Options(subject=f"{name}'s appointment"))
    made.append((await acceptance.schedule(house, caller, later)).message["id"])
    await suppressions.add(house, caller, "loop", mail, "complaint", f"{name}'s letter")
    return made


def replaced(about: About, **changes: str) -> About:
    return msgspec.structs.replace(about, **changes)


def of(found: list[Read], *words: str) -> set[tuple[str, str]]:
    """Where something of a person can be read."""
    return {
        (each.table, each.column)
        for each in found
        if any(word.lower().encode() in each.text.lower() for word in words)
    }


EVERYWHERE = {(table, column) for table, columns in SEALED.items() for column, _, _ in columns}


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


async def destroyed(house: House) -> None:
    """Once the key is."""
    while not await house.database.owner.fetchval("select count(*) from person_key where wrapped is null"):
        await house.database.owner.fetchval("select 1")


@pytest.mark.parametrize(
    ("answers", "ends", "reason"),
    [
        (Accepted("x"), "sent", None),
        (TryLater("busy"), "suppressed", "person_erased"),
        (Lost("timeout"), "unknown", None),
    ],
)
async def test_a_call_that_has_begun_ends_and_the_erasure_waits_for_it(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    provide: Any,
    answers: Outcome,
    ends: str,
    reason: str | None,
) -> None:
    provider = await provide("calls", lambda _: answers)
    erasing: list[asyncio.Task[Any]] = []

    async def is_erased_meanwhile(_outgoing: Outgoing) -> Outcome:
        if not erasing:
            erasing.append(asyncio.create_task(erasure.erase(house, loop_health, "loop", "p1")))
            await destroyed(house)
            for _ in range(50):  # long enough for all the rest of an erasure
                await house.database.owner.fetchval("select 1")
        assert not erasing[0].done()
        return answers

    provider.send = is_erased_meanwhile
    made = await acceptance.schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await worker.once()
    await erasing[0]
    clock.advance(5)
    await worker.once()
    shown = await messages.get_scheduled(house, loop_health, UUID(made.message["id"]))
    assert (shown["status"], shown["failure_reason"], shown["recipient"]) == (ends, reason, "erased")
    taken = await dump(house.database)
    assert of(opened(taken, house.setup.master, house.setup.epochs), "p1", "Ada", RECIPIENTS["sms"]) == set()


async def test_what_may_have_been_taken_is_not_asked_again_and_not_called_suppressed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, provide: Any
) -> None:
    provider = await provide("lossy", lambda _: Lost("timeout"), idempotent=True)
    made = await acceptance.schedule(house, loop_health, ask(clock))
    clock.advance(300)
    await worker.once()
    assert await status(house, loop_health, made.message["id"]) == "scheduled"  # it would be asked again
    await house.database.owner.execute("update person_key set wrapped = null, destroyed_at = now()")
    clock.advance(60)
    await worker.once()
    assert len(provider.called) == 1
    assert await status(house, loop_health, made.message["id"]) == "unknown"


async def test_a_message_that_was_accepted_at_the_same_moment_is_not_sent(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    made = await acceptance.schedule(house, loop_health, ask(clock))
    await house.database.owner.execute("update person_key set wrapped = null, destroyed_at = now()")
    clock.advance(300)
    await worker.once()
    assert await outbox(house, loop_health) == []
    explained = await messages.explain(house, loop_health, UUID(made.message["id"]))
    assert (explained["verdict"], explained["rule"]) == ("suppress", "person_erased")
    assert await status(house, loop_health, made.message["id"]) == "suppressed"


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


async def test_messages_accepted_while_persons_are_erased_are_sent_cancelled_or_suppressed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, database: Database, tmp_path: Path
) -> None:
    houses = [house, another(database, clock, tmp_path)]
    accepted: list[str] = []

    async def accept(n: int) -> None:
        asked = ask(clock, person_id=f"p{n % 3}", dedup_key=f"key {n}")
        accepted.append((await acceptance.schedule(houses[n % 2], loop_health, asked)).message["id"])

    async def erase(n: int) -> None:
        await erasure.erase(houses[n % 2], loop_health, "loop", f"p{n % 3}")

    await asyncio.gather(*(erase(n) if n % 8 == 7 else accept(n) for n in range(160)))
    assert len(accepted) == 140
    clock.advance(300)
    while await worker.once():
        pass
    shown = [await messages.get_scheduled(house, loop_health, UUID(each)) for each in accepted]
    ends = {(each["status"], each["failure_reason"], each["person_id"] == "erased") for each in shown}
    assert ends <= {
        ("sent", None, False),
        ("cancelled", "person_erased", True),
        ("suppressed", "person_erased", True),
    }
    assert ("sent", None, False) in ends


async def test_of_many_first_messages_to_a_person_all_can_be_read(
    house: House, loop_health: Caller, clock: FakeClock, database: Database, tmp_path: Path
) -> None:
    houses = [house, *(another(database, clock, tmp_path) for _ in range(3))]
    asked = [ask(clock, person_id=f"new {n % 5}", dedup_key=f"key {n}") for n in range(120)]
    made = await asyncio.gather(
        *(acceptance.schedule(houses[n % 4], loop_health, each) for n, each in enumerate(asked))
    )
    for each, one in zip(asked, made, strict=True):
        shown = await messages.get_scheduled(house, loop_health, UUID(one.message["id"]))
        assert (shown["person_id"], shown["dedup_key"]) == (each.person_id, each.dedup_key)
    assert await database.owner.fetchval("select count(*) from person_key") == 5


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
