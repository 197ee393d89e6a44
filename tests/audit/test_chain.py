"""The chain over the ledger: what is changed behind our back is named, in the database and in an export."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from comms.actions import acceptance, audit, health
from comms.actions.house import House
from comms.dispatch import closer
from comms.dispatch.closer import close
from comms.domain.caller import Caller
from comms.domain.chain import Broken
from comms.store import audit as rows
from comms.testing import FakeClock
from tests.journeys.story import ask

pytestmark = pytest.mark.anyio

MESSAGE = UUID(int=5)


@pytest.fixture
async def written(house: House, loop_health: Caller, clock: FakeClock) -> list[int]:
    """Three links: set-up, six messages, and two more; the numbers of all entries."""
    assert loop_health.brand_id == "*"
    await close(house)
    for keys in (range(6), range(6, 8)):
        for n in keys:
            await acceptance.schedule(house, loop_health, ask(clock, dedup_key=f"key-{n}"))
        await close(house)
    return [row["n"] for row in await house.database.owner.fetch("select n from ledger order by n")]


async def exported(house: House) -> list[str]:
    return [line async for line in audit.export(house)]


async def broken(house: House) -> str:
    """What verify says of the database; an export says the same."""
    with pytest.raises(Broken) as found:
        await audit.verify(house)
    with pytest.raises(Broken) as again:
        audit.verify_lines(await exported(house))
    assert str(found.value) == str(again.value)
    return str(found.value)


async def test_what_is_as_it_was_is_intact_here_and_in_an_export(house: House, written: list[int]) -> None:
    proof = await audit.verify(house)
    assert (proof.entries, proof.unchained) == (len(written), 0)
    assert audit.verify_lines(await exported(house)) == proof
    assert await house.database.owner.fetchval("select count(*) from audit_link") == 3


async def test_what_is_not_chained_yet_is_counted_and_no_more(
    house: House, loop_health: Caller, clock: FakeClock, written: list[int]
) -> None:
    await acceptance.schedule(house, loop_health, ask(clock, dedup_key="new"))
    proof = await audit.verify(house)
    assert (proof.entries, proof.unchained) == (len(written), 1)
    assert audit.verify_lines(await exported(house)) == proof


@pytest.mark.parametrize(
    "column",
    [
        "event = 'sent'",
        "brand_id = 'other'",
        "at = at + interval '1 microsecond'",
        "actor = 'somebody else'",
        "details = '{\"attempt\": 2}'",
        "request_id = gen_random_uuid()",
        "message_id = gen_random_uuid()",
        "bucket = bucket + 1",
    ],
)
async def test_a_changed_entry_is_named_whatever_was_changed_of_it(
    house: House, written: list[int], column: str
) -> None:
    n = written[-5]
    await house.database.owner.execute(f"update ledger set {column} where n = $1", n)
    assert await broken(house) == f"entry {n} was changed, in link 2"


async def test_a_removed_entry_is_missed(house: House, written: list[int]) -> None:
    await house.database.owner.execute("delete from ledger where n = $1", written[-5])
    assert await broken(house) == f"an entry is missing before {written[-4]}, in link 2"
    await house.database.owner.execute("delete from ledger where n = $1", written[0])
    assert await broken(house) == f"an entry is missing before {written[1]}, in link 1"


async def test_the_last_entry_of_a_link_is_missed_too(house: House, written: list[int]) -> None:
    await house.database.owner.execute("delete from ledger where n = $1", written[-1])
    assert await broken(house) == f"an entry is missing after {written[-2]}, in link 3"


async def test_an_added_entry_is_named(house: House, written: list[int]) -> None:
    add = "insert into ledger (bucket, n, brand_id, at, event) overriding system value values (0, $1, 'loop', now(), 'sent')"
    await house.database.owner.execute(add, written[0] - 1)
    assert await broken(house) == f"entry {written[0] - 1} was added, in link 1"


async def test_one_added_after_its_like_is_named_as_well(house: House, written: list[int]) -> None:
    await house.database.owner.execute(
        "insert into ledger overriding system value select * from ledger where n = $1", written[-1]
    )
    assert await broken(house) == f"entry {written[-1]} was added, in link 3"


async def test_entries_that_change_places_are_noticed(house: House, written: list[int]) -> None:
    first, second = written[-5], written[-4]
    await house.database.owner.execute(
        """with gone as (delete from ledger where n in ($1, $2) returning *)
           insert into ledger (bucket, n, message_id, brand_id, at, event, actor, request_id) overriding system value
           select bucket, $1::bigint + $2::bigint - n, message_id, brand_id, at, event, actor, request_id from gone""",
        first,
        second,
    )
    assert await broken(house) == f"entry {first} was changed, in link 2"


async def test_lines_of_an_export_that_change_places_are_noticed(house: House, written: list[int]) -> None:
    lines = await exported(house)
    lines[1], lines[2] = lines[2], lines[1]
    with pytest.raises(Broken, match=f"entry {written[1]} was moved, in link 1"):
        audit.verify_lines(lines)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from audit_link where link = 2", "link 2 is missing"),
        ("delete from audit_link where link = 1", "link 1 is missing"),
        ("update audit_link set hash = sha256(hash) where link = 2", "link 2, up to entry"),
        ("update audit_link set entries = entries + 1 where link = 3", "link 3, up to entry"),
    ],
)
async def test_a_link_that_was_changed_or_removed_is_named(
    house: House, written: list[int], change: str, said: str
) -> None:
    assert written
    await house.database.owner.execute(change)
    assert (await broken(house)).startswith(said)


async def test_a_chain_that_was_cut_off_or_made_anew_lacks_the_head_that_was_noted(
    house: House, written: list[int]
) -> None:
    head = (await audit.verify(house)).head
    assert (await audit.verify(house, head)).entries == len(written)
    assert audit.verify_lines(await exported(house), head).head == head
    await house.database.owner.execute("delete from audit_link where link = 3")
    await house.database.owner.execute("delete from ledger where n >= $1", written[-2])
    assert (await audit.verify(house)).entries == len(written) - 2
    with pytest.raises(Broken, match="noted"):
        await audit.verify(house, head)


async def test_an_export_that_is_cut_off_says_so(house: House, written: list[int]) -> None:
    lines = await exported(house)
    assert written
    for cut in (
        lines[:-1],
        lines[:-2],
        [*lines[:-2], lines[-1]],
        [*lines, lines[1]],
        [*lines[:3], "{", *lines[3:]],
        [],
    ):
        with pytest.raises(Broken):
            audit.verify_lines(cut)


async def test_many_links_are_read_in_pieces(
    house: House, loop_health: Caller, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closer, "_MOST", 2)
    monkeypatch.setattr(audit, "_TOGETHER", 5)
    monkeypatch.setattr(audit, "_LINKS", 3)
    for n in range(12):
        await acceptance.schedule(house, loop_health, ask(clock, dedup_key=f"key-{n}"))
    closed = await close(house)
    assert (await audit.verify(house)).entries == closed
    assert await house.database.owner.fetchval("select count(*) from audit_link") == (closed + 1) // 2


async def test_two_who_close_at_a_time_make_one_chain(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    for n in range(5):
        await acceptance.schedule(house, loop_health, ask(clock, dedup_key=f"key-{n}"))
        await asyncio.gather(*(close(house) for _ in range(4)))
    proof = await audit.verify(house)
    assert proof.unchained == 0
    assert proof.entries == await house.database.owner.fetchval("select count(*) from ledger")


async def test_a_transaction_that_holds_an_earlier_number_holds_the_chain_up_and_nobody_else(
    house: House, loop_health: Caller, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closer, "_LOOKS", 3)
    await close(house)
    before = await rows.closed(house.database.engine)
    async with house.database.engine.acquire() as connection:
        writing = connection.transaction()
        await writing.start()
        await connection.execute(
            "insert into ledger (bucket, brand_id, at, event) values (0, 'loop', now(), 'late')"
        )
        await acceptance.schedule(house, loop_health, ask(clock))
        assert await close(house) == 0
        assert await rows.closed(house.database.engine) == before
        await writing.rollback()
    assert await close(house) == 1
    assert (await audit.verify(house)).unchained == 0


@pytest.mark.parametrize("role", ["comms_api", "comms_engine"])
@pytest.mark.parametrize("table", ["ledger", "audit_link"])
@pytest.mark.parametrize(
    "change", ["delete from {}", "truncate {}", "update {} set {} = {}", "insert into {} overriding"]
)
async def test_the_roles_that_serve_can_add_and_change_nothing(
    house: House, role: str, table: str, change: str
) -> None:
    column = {"ledger": "actor", "audit_link": "entries"}[table]
    statement = change.format(table, column, column)
    if "insert" in change:
        return await _may_insert(house, role, table)
    async with house.database.owner.acquire() as connection, connection.transaction():
        await connection.execute(f"set local role {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    return None


async def _may_insert(house: House, role: str, table: str) -> None:
    asked = "select has_table_privilege($1, $2, 'insert')"
    may = await house.database.owner.fetchval(asked, role, table)
    assert may == ((role, table) != ("comms_api", "audit_link"))


async def test_not_even_the_owner_has_the_right_unless_it_gives_it_to_itself(house: House) -> None:
    asked = """select count(*) from pg_class c, aclexplode(c.relacl) a
                where c.relname in ('ledger', 'audit_link') and a.grantee = c.relowner
                  and a.privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')"""
    assert await house.database.owner.fetchval(asked) == 0


async def test_an_entry_is_chained_within_five_seconds(house: House, loop_health: Caller) -> None:
    """A worker looks each second, and closes all that is there; `keep_closing` is what it runs."""
    assert closer._EVERY <= 1.0
    assert timedelta(seconds=5).total_seconds() > closer._LOOKS * closer._LOOK_SECONDS + closer._EVERY
    told = asyncio.Event()
    closing = asyncio.create_task(closer.keep_closing(house, told.set))
    await told.wait()
    closing.cancel()
    assert (await audit.verify(house)).unchained == 0
    assert loop_health.brand_id == "*"


async def test_the_page_shows_all_that_is_needed_to_prove_an_export(house: House, written: list[int]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    shown: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], shown)
    lines = await exported(house)
    assert written
    assert shown["is_intact"](lines)
    assert not shown["is_intact"]([line.replace("provider_put", "provider_cut") for line in lines])


async def test_the_doctor_tells_what_no_worker_has_chained_for_some_seconds(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await acceptance.schedule(house, loop_health, ask(clock))
    assert await chain(house) == "closed"
    clock.advance(6)
    assert (await chain(house)).endswith("entries wait")


async def chain(house: House) -> str:
    return next(each.found for each in await health.examine(house) if each.what == "audit chain")
