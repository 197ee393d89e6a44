"""What was sent to persons lately, as rows."""

from __future__ import annotations

from typing import NamedTuple

from comms.store.database import Connection, Pool
from comms.store.statements import columns, sql


class Reserved(NamedTuple):
    """A person's row as it shall be, by one who has `seen` the version before, in the order of the arrays."""

    bucket: int
    brand_id: str
    person_hash: bytes
    seen: int
    sent: str
    """JSON, as the column has it."""


class Released(NamedTuple):
    """A message that does not count against its person's caps any more."""

    bucket: int
    brand_id: str
    person_hash: bytes
    message_id: str


async def reserve(connection: Connection, wanted: list[Reserved]) -> set[tuple[str, bytes]]:
    """Write persons' rows, each once; (brand_id, person_hash) of those whose version was the one seen."""
    rows = await connection.fetch(sql("caps", "reserve"), *columns(wanted))
    return {(row["brand_id"], row["person_hash"]) for row in rows}


async def release(connection: Connection | Pool, gone: list[Released]) -> None:
    """Give back the places of what was not sent."""
    await connection.execute(sql("caps", "release"), *columns(gone))
