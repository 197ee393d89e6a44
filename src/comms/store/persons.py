"""Persons as rows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Connection, Pool
from comms.store.keys import PersonKey
from comms.store.statements import sql


class Person(NamedTuple):
    """What is known of a person, in the order of the statement's parameters."""

    bucket: int
    id: UUID
    brand_id: str
    person_hash: bytes
    timezone: str | None
    locale: str | None
    now: datetime
    actor: str
    request_id: UUID


async def put(connection: Connection, person: Person) -> None:
    """Write what is known of a person, in place of what was."""
    await connection.execute(sql("persons", "put"), *person)


async def get(connection: Connection | Pool, key: PersonKey) -> asyncpg.Record | None:
    """The person, or None."""
    return await connection.fetchrow(sql("persons", "get"), *key)
