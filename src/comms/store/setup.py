"""Set-up and tokens as rows. Every change moves the epoch, so that no process goes on with what it cached."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from comms.store.database import Connection, Pool
from comms.store.statements import sql


async def epoch(pool: Connection | Pool) -> tuple[int, frozenset[str]]:
    """The number that moves with every change, and the brands that are held."""
    row = await pool.fetchrow(sql("setup", "epoch"))
    assert row is not None  # noqa: S101 - the installation's one row
    return row["epoch"], frozenset(row["held"])


async def one(pool: Connection | Pool, name: str, *key: Any) -> asyncpg.Record | None:
    """One row: brand, provider, template, find_template, lock_template, version, token, proof."""
    return await pool.fetchrow(sql("setup", name), *key)


async def many(pool: Connection | Pool, name: str, *key: Any) -> list[asyncpg.Record]:
    """Rows.

    brands, brand_keys, texting_brands, providers, templates, versions, current_versions, topics,
    tokens, tokens_of_person.
    """
    return await pool.fetch(sql("setup", name), *key)


async def write(connection: Connection, name: str, *values: Any) -> asyncpg.Record | None:
    """Change set-up, inside the caller's transaction; the epoch moves with it."""
    row = await connection.fetchrow(sql("setup", name), *values)
    await move_epoch(connection)
    return row


async def move_epoch(connection: Connection) -> None:
    """Every process forgets what it cached."""
    await connection.execute(sql("setup", "move_epoch"))


async def add_token(connection: Connection, token_id: UUID, name: str, *values: Any) -> None:
    """A new token: nobody can have remembered it, so the epoch stays. hash, brand_id ... expires_at."""
    created_at = values[5]
    await connection.execute(sql("setup", "free_name"), name, created_at)
    await connection.execute(sql("setup", "add_token"), token_id, name, *values)


async def note(
    connection: Connection,
    brand_id: str,
    now: datetime,
    event: str,
    details: dict[str, Any],
    by: tuple[str, UUID],
) -> None:
    """A line in the ledger about a change of set-up; `by` is actor and request."""
    await connection.execute(sql("setup", "note"), brand_id, now, event, details, *by)
