"""The same schema with its large tables in pieces, by bucket, and which pieces a statement touches.

Eight buckets have a piece of each table, the others share the rest. PostgreSQL itself refuses a unique key there that
lacks the bucket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from comms.domain.ids import BUCKETS
from comms.store.database import Connection
from comms.store.spread import BY_BUCKET

APART = BUCKETS[:8]
REST = -1
"""What all other buckets share."""

_NESTED = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")
"""Off: the pieces are small here, and reading all of them would be the cheapest."""

_COUNTS = """
select substr(s.relname, length(parent.relname) + 2)::int as piece
  from pg_stat_xact_user_tables s
  join pg_inherits i on i.inhrelid = s.relid join pg_class parent on parent.oid = i.inhparent
 where s.seq_scan > 0 or s.idx_scan > 0 or s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0
"""


async def split(connection: Connection) -> None:
    """Put partitioned tables of the same shape in the place of those that were migrated."""
    views = await connection.fetch(
        "select viewname as name, definition from pg_views where schemaname = 'public'"
    )
    for view in views:
        await connection.execute(f"drop view {view['name']}")
    await connection.execute("create schema whole")
    for table in BY_BUCKET:
        await connection.execute(f"alter table {table} set schema whole")
        await connection.execute(
            f"create table {table} (like whole.{table} including all) partition by list (bucket)"
        )
        for bucket in APART:
            await connection.execute(
                f"create table {table}_{bucket} partition of {table} for values in ({bucket})"
            )
        await connection.execute(f'create table "{table}_{REST}" partition of {table} default')
    for view in views:
        await connection.execute(f"create view {view['name']} as {view['definition']}")
    for setting in _NESTED:
        await connection.execute(f"set {setting} = off")
    await connection.execute(
        "set plan_cache_mode = force_generic_plan"
    )  # so that pieces are chosen as it runs


async def touched(connection: Connection, call: Callable[[Connection], Awaitable[object]]) -> set[int]:
    """The buckets whose rows or indexes are read or written by what `call` does; nothing of it stays."""
    await connection.execute("select pg_stat_force_next_flush()")  # what was counted before is not ours
    transaction = connection.transaction()
    await transaction.start()
    try:
        await call(connection)
        return {row["piece"] for row in await connection.fetch(_COUNTS)}
    finally:
        await transaction.rollback()
