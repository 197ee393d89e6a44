"""Each table has its place, and what is asked of a distributed PostgreSQL, by functions of the same signatures.

They note what they are called with. What the real ones answered is in docs/scaling.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from comms.store import cluster
from comms.store.database import Connection, Database, connect_once
from comms.store.migrate import MigrationRefused, migrate, migrations, statements
from comms.store.spread import BY_BUCKET, BY_OWN_KEY, EVERYWHERE, IN_ONE_PLACE

pytestmark = pytest.mark.anyio

APART = {**dict.fromkeys(BY_BUCKET, "bucket"), **BY_OWN_KEY}
"""Tables that are spread, and by which column."""

# As in Citus 13: src/backend/distributed/sql, pg_dist_node, pg_dist_partition, create_distributed_table.
STAND_INS = """
create table pg_dist_node (groupid int, isactive bool, noderole text, shouldhaveshards bool);
create table pg_dist_local_group (groupid int);
create table pg_dist_partition (logicalrelid regclass, partmethod "char", repmodel "char", beside text, by_column text);
insert into pg_dist_local_group values (0);
insert into pg_dist_node values (0, true, 'primary', false), (1, true, 'primary', true);
create function create_distributed_table(table_name regclass, distribution_column text,
    distribution_type text default 'hash', colocate_with text default 'default', shard_count int default null)
  returns void language sql as
  $$ insert into pg_dist_partition values (table_name, 'h', 's', colocate_with, distribution_column) $$;
create function create_reference_table(table_name regclass) returns void language sql as
  $$ insert into pg_dist_partition values (table_name, 'n', 't', null, null) $$
"""


@pytest.fixture(scope="module")
async def cluster_of_one(postgres: str) -> AsyncIterator[Connection]:
    """A migrated database that takes itself for the coordinator of one machine."""
    owner = await connect_once(postgres)
    await owner.execute("create database spread")
    connection = await connect_once(postgres.replace("/postgres?", "/spread?"))
    await migrate(connection)
    await connection.execute(STAND_INS)
    yield connection
    await connection.close()
    await owner.execute("drop database spread with (force)")
    await owner.close()


@pytest.fixture
async def coordinator(cluster_of_one: Connection) -> AsyncIterator[Connection]:
    """The same for one test."""
    transaction = cluster_of_one.transaction()
    await transaction.start()
    yield cluster_of_one
    await transaction.rollback()


async def _rows(database: Database, statement: str) -> list[asyncpg.Record]:
    return await database.owner.fetch(statement, list(APART))


async def test_every_table_has_one_place(database: Database) -> None:
    tables = await database.owner.fetch("select tablename from pg_tables where schemaname = 'public'")
    places = [*BY_BUCKET, *BY_OWN_KEY, *EVERYWHERE, *IN_ONE_PLACE]
    assert sorted(places) == sorted(row["tablename"] for row in tables)


async def test_unique_keys_hold_what_a_table_is_spread_by(database: Database) -> None:
    keys = await _rows(
        database,
        """select x.indrelid::regclass::text as name, x.indexrelid::regclass::text as key,
                  array_agg(a.attname::text) as columns
             from pg_index x join pg_attribute a on a.attrelid = x.indrelid and a.attnum = any (x.indkey)
            where x.indisunique and x.indrelid::regclass::text = any ($1) group by 1, 2""",
    )
    assert {row["name"] for row in keys} == set(APART) - {"ledger"}
    assert [row["key"] for row in keys if APART[row["name"]] not in row["columns"]] == []


async def test_nothing_refers_to_or_from_what_is_spread(database: Database) -> None:
    referring = await _rows(
        database,
        """select conname from pg_constraint
            where contype = 'f' and (conrelid::regclass::text = any ($1) or confrelid::regclass::text = any ($1))""",
    )
    triggers = await _rows(database, "select tgname from pg_trigger where tgrelid::regclass::text = any ($1)")
    assert (referring, triggers) == ([], [])


async def test_numbers_of_what_is_spread_are_wide(database: Database) -> None:
    numbered = await _rows(
        database,
        """select attrelid::regclass::text as name, atttypid::regtype::text as type from pg_attribute
            where attidentity <> '' and attrelid::regclass::text = any ($1)""",
    )
    assert {row["name"] for row in numbered} == {"ledger", "inbox_item", "sandbox_item"}
    assert {row["type"] for row in numbered} == {"bigint"}


async def test_each_is_spread_with_those_that_it_lies_with(coordinator: Connection) -> None:
    await cluster.check(coordinator)
    said = await cluster.spread(coordinator)
    assert sorted(said) == sorted([*EVERYWHERE, *APART])
    noted = await coordinator.fetch(
        "select logicalrelid::text as name, by_column, beside from pg_dist_partition"
    )
    assert {row["name"]: row["by_column"] for row in noted if row["by_column"]} == APART
    assert {row["beside"] for row in noted if row["name"] in BY_BUCKET[1:]} == {"message"}
    assert {row["beside"] for row in noted if row["name"] in ("message", "device")} == {"none"}
    may = "select bool_and(rolcanlogin) from pg_roles where rolname in ('comms_api', 'comms_engine')"
    assert await coordinator.fetchval(may)


async def test_what_is_referred_to_comes_first(coordinator: Connection) -> None:
    placed = await cluster.spread(coordinator)
    references = await coordinator.fetch(
        """select conrelid::regclass::text as source, confrelid::regclass::text as target from pg_constraint
            where contype = 'f' and conrelid::regclass::text = any ($1)""",
        placed,
    )
    assert references
    assert [row for row in references if placed.index(row["source"]) < placed.index(row["target"])] == []


async def test_a_second_time_there_is_nothing_to_do(coordinator: Connection) -> None:
    await cluster.spread(coordinator)
    assert await cluster.spread(coordinator) == []


async def test_a_new_table_is_spread_by_the_next_call(coordinator: Connection) -> None:
    await cluster.spread(coordinator)
    await coordinator.execute("delete from pg_dist_partition where logicalrelid = 'fact'::regclass")
    assert await cluster.spread(coordinator) == ["fact"]


async def test_another_layout_is_refused(coordinator: Connection) -> None:
    await coordinator.execute("select create_reference_table('message')")
    with pytest.raises(MigrationRefused, match="message was spread in another way"):
        await cluster.spread(coordinator)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("drop function create_distributed_table", "has no Citus"),
        ("update pg_dist_local_group set groupid = 1", "no coordinator"),
        ("delete from pg_dist_node where groupid = 0", "no coordinator"),
        ("delete from pg_dist_node where groupid = 1", "no machine that keeps rows"),
        ("update pg_dist_node set isactive = false where groupid = 1", "no machine that keeps rows"),
    ],
)
async def test_where_it_can_not_be_done_it_says_why(coordinator: Connection, without: str, said: str) -> None:
    await coordinator.execute(without)
    with pytest.raises(MigrationRefused, match=said):
        await cluster.check(coordinator)


def test_statements_are_sent_one_by_one() -> None:
    sql = "-- one; two\ncreate table a (b int); -- so;\ndo $$\nbegin\n  x;\nend $$;\nselect 1\n"
    assert statements(sql) == [
        "-- one; two\ncreate table a (b int); -- so;\n",
        "do $$\nbegin\n  x;\nend $$;\n",
        "select 1\n",
    ]


async def test_no_migration_sends_two_at_once(database: Database) -> None:
    said = [await _said(database, each) for migration in migrations() for each in statements(migration.sql)]
    assert len(said) > len(migrations())
    assert [each for each in said if "multiple commands" in each] == []


async def _said(database: Database, statement: str) -> str:
    """What PostgreSQL says to one statement, which was executed long ago."""
    try:
        async with database.owner.acquire() as connection:
            await connection.prepare(statement)
    except asyncpg.PostgresError as error:
        return str(error)
    return ""
