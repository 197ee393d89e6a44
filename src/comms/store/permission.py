"""What the judgement on messages rests on, read for a group at a time."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import asyncpg

from comms.store.database import Pool
from comms.store.statements import columns, sql


class Keys(NamedTuple):
    """Where the facts about one message are found, in the order of the statement's arrays."""

    brand_id: str
    channel: str
    person_bucket: int
    person_hash: bytes
    consent_id: UUID
    preference_id: UUID
    address_bucket: int
    address_hash: bytes
    wants_zone: bool
    wants_sent: bool


class Guard(NamedTuple):
    """Where a caller's fact is found that the `n`th message of the group (from 1) is sent for."""

    n: int
    brand_id: str
    bucket: int
    id: UUID


async def facts(engine: Pool, group: list[Keys], guards: list[Guard]) -> list[asyncpg.Record]:
    """N (of the group, from 1), kind, id, says and since, for each row that is there."""
    asked = columns(guards) if guards else [[] for _ in Guard._fields]
    return await engine.fetch(sql("permission", "facts"), *columns(group), *asked)
