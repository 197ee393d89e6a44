"""Spreading the tables over the machines of a distributed PostgreSQL (the extension Citus).

`spread.py` says which table lies where. Repeatable: what is spread already is left as it is, and a table that
a later migration made is spread by the next call. What Citus calls things is in its documentation, "Citus
Utility Functions" and "Citus Tables and Views".
"""

from __future__ import annotations

from comms.store.database import Connection
from comms.store.migrate import LOCK, MigrationRefused
from comms.store.spread import BY_BUCKET, BY_OWN_KEY, EVERYWHERE

_ROLES = ("comms_api", "comms_engine")

_IS_COORDINATOR = """
select exists (select from pg_dist_node where groupid = 0)
   and (select groupid = 0 from pg_dist_local_group)
"""
_WORKERS = "select count(*) from pg_dist_node where isactive and noderole = 'primary' and shouldhaveshards"
_KNOWN = """
select logicalrelid::regclass::text as name, partmethod = 'h' as is_by_hash
  from pg_dist_partition where partmethod <> 'n' or repmodel = 't'
"""
"""Without what Citus knows for its references alone, and keeps in one place."""


async def spread(connection: Connection) -> list[str]:
    """Spread what is not yet spread, in one transaction; the names of those tables.

    The database is migrated already, and `check` found nothing. Rows that are there are moved: for an
    installation at work that takes as long as copying them, and nothing else writes meanwhile.
    """
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")  # rows may have to be moved
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        await connection.execute("set local citus.multi_shard_modify_mode = 'sequential'")
        for role in _ROLES:  # who works on a machine signs in there by its own name
            await connection.execute(f"alter role {role} login")
        known = {row["name"]: row["is_by_hash"] for row in await connection.fetch(_KNOWN)}
        _refuse_what_lies_otherwise(known)
        missing = [name for name in _ORDER if name not in known]
        for name in missing:
            await _place(connection, name)
    return missing


_ORDER = (*EVERYWHERE, *BY_BUCKET, *BY_OWN_KEY)
"""What is referred to first, and the table that others lie with before them."""


async def _place(connection: Connection, name: str) -> None:
    if name in EVERYWHERE:
        await connection.execute("select create_reference_table($1::text::regclass)", name)
    elif name in BY_OWN_KEY:
        await _by(connection, name, BY_OWN_KEY[name], "none")
    else:
        await _by(connection, name, "bucket", "none" if name == BY_BUCKET[0] else BY_BUCKET[0])


async def _by(connection: Connection, name: str, column: str, beside: str) -> None:
    await connection.execute(
        "select create_distributed_table($1::text::regclass, $2, colocate_with => $3)", name, column, beside
    )


async def check(connection: Connection) -> None:
    """Is this the coordinator of machines that keep rows? MigrationRefused says what is missing."""
    if not await connection.fetchval("select to_regproc('create_distributed_table') is not null"):
        raise MigrationRefused(
            "This database has no Citus: create the extension on all its machines, or leave --citus out."
        )
    if not await connection.fetchval(_IS_COORDINATOR):
        raise MigrationRefused(
            "This is no coordinator: name the coordinator's address in COMMS_DATABASE_URL, and make it known"
            " with citus_set_coordinator_host."
        )
    if not await connection.fetchval(_WORKERS):
        raise MigrationRefused(
            "The coordinator knows no machine that keeps rows: add one with citus_add_node."
        )


def _refuse_what_lies_otherwise(known: dict[str, bool]) -> None:
    wanted = dict.fromkeys(EVERYWHERE, False) | dict.fromkeys((*BY_BUCKET, *BY_OWN_KEY), True)
    for name, is_by_hash in known.items():
        if wanted.get(name) is not is_by_hash:
            raise MigrationRefused(
                f"{name} was spread in another way: undo that with undistribute_table, then repeat."
            )
