"""Sealed rows, to be read and written anew when keys are replaced."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql

_NONE = UUID(int=0)


class Place(NamedTuple):
    """A table with sealed columns: its primary key, the id that these are bound to, each with its field."""

    table: str
    key: tuple[str, ...]
    row_id: str
    sealed: tuple[tuple[str, str], ...]
    beginning: tuple[Any, ...]
    """Before the first."""


_KEYED: tuple[tuple[str, ...], tuple[Any, ...]] = ("bucket", "id"), (-1, _NONE)

PLACES = (
    Place(
        "message",
        _KEYED[0],
        "id",
        (("address", "address"), ("variables", "variables"), ("options", "options")),
        _KEYED[1],
    ),
    Place(
        "delivery",
        ("bucket", "message_id", "n"),
        "message_id",
        (("payload", "payload/{n}"),),
        (-1, _NONE, -1),
    ),
    Place("inbox_item", _KEYED[0], "id", (("content", "inbox"),), _KEYED[1]),
    Place("sandbox_item", ("bucket", "n"), "message_id", (("content", "sandbox"),), (-1, -1)),
    Place("device", ("device_id",), "device_id", (("content", "device"),), (_NONE,)),
    Place("consent", _KEYED[0], "id", (("content", "consent"),), _KEYED[1]),
    Place("preference", _KEYED[0], "id", (("content", "preference"),), _KEYED[1]),
    Place("suppression", _KEYED[0], "id", (("content", "suppression"),), _KEYED[1]),
    Place("fact", _KEYED[0], "id", (("content", "fact"),), _KEYED[1]),
    Place("subscription", ("subscription_id",), "subscription_id", (("secrets", "subscription"),), (_NONE,)),
    Place("canary", ("canary_id",), "canary_id", (("recipient", "canary"),), (_NONE,)),
    Place("token", ("token_id",), "token_id", (("person", "person"),), (_NONE,)),
)


async def read(
    connection: Connection, place: Place, brands: list[str], after: tuple[Any, ...], limit: int
) -> list[asyncpg.Record]:
    """The next rows: key, brand_id, person_hash (None: of nobody), and of these brands what is sealed."""
    return await connection.fetch(sql("rotation", f"read_{place.table}"), brands, *after, limit)


async def write(connection: Connection, place: Place, rows: list[tuple[Any, ...]]) -> int:
    """Write what stands as it was and nobody is changing; how many.

    A row: its key, and for each sealed column what it was and what it shall be.
    """
    return len(await connection.fetch(sql("rotation", f"write_{place.table}"), *columns(rows)))


async def one(connection: Connection | Pool, name: str, *values: Any) -> Any:
    """One value: try_lock, unlock, estimate, proof, rewrap_brand_key, rewrap_provider (1, or None)."""
    return await connection.fetchval(sql("rotation", name), *values)


async def many(connection: Connection | Pool, name: str, *values: Any) -> list[asyncpg.Record]:
    """Rows: live_keys, brands, status, brand_wrappings, provider_wrappings, masters_persons."""
    return await connection.fetch(sql("rotation", name), *values)


async def execute(connection: Connection | Pool, name: str, *values: Any) -> None:
    """Retire, put_proof."""
    await connection.execute(sql("rotation", name), *values)
