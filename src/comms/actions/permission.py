"""What is known of who may be written to: found by keyed hashes, read for many at once."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of_digest
from comms.domain.permission import Evidence, Permission, refusal
from comms.domain.recipient import folded
from comms.domain.schedule import show
from comms.privacy.cipher import Cipher
from comms.store import permission as rows


class Asked(NamedTuple):
    """Who is written to, where, and about what; the recipient is normalised."""

    brand: Brand
    person_id: str
    channel: str
    recipient: str
    category: str


async def known(house: House, group: list[Asked]) -> list[Permission | Exception]:
    """What is known of each, in one round trip, as it was committed before that."""
    evidence: list[list[Evidence]] = [[] for _ in group]
    for row in await rows.facts(house.database.engine, [_keys(each) for each in group]):
        evidence[row["n"] - 1].append(_evidence(row))
    return [Permission(each.category, tuple(found)) for each, found in zip(group, evidence, strict=True)]


async def require(house: House, asked: Asked) -> None:
    """422 with the refusal's code where nothing may be sent now."""
    [found] = await known(house, [asked])
    if isinstance(found, Permission) and (refused := refusal(found)):
        raise Refused(422, refused.code, refused.sentence)


def person_hash(cipher: Cipher, person_id: str) -> bytes:
    """By which a person's rows are found; its bucket is where they are."""
    return cipher.digest("person_id", person_id)


def said_id(cipher: Cipher, kind: str, person_id: str, channel: str, category: str) -> UUID:
    """The id of the one row in which a person says this: `kind` is consent or preference."""
    digest = cipher.digest(kind, msgspec.json.encode([person_id, channel, category]))
    return UUID(bytes=digest, version=5)


def address_hash(cipher: Cipher, channel: str, recipient: str) -> bytes:
    """By which an address's suppressions are found; its bucket is where they are."""
    return cipher.digest(f"address/{channel}", folded(recipient))


def _keys(asked: Asked) -> rows.Keys:
    cipher = asked.brand.cipher
    address = address_hash(cipher, asked.channel, asked.recipient)
    said = (asked.person_id, asked.channel, asked.category)
    return rows.Keys(
        brand_id=asked.brand.brand_id,
        channel=asked.channel,
        person_bucket=bucket_of_digest(person_hash(cipher, asked.person_id)),
        consent_id=said_id(cipher, "consent", *said),
        preference_id=said_id(cipher, "preference", *said),
        address_bucket=bucket_of_digest(address),
        address_hash=address,
    )


def _evidence(row: asyncpg.Record) -> Evidence:
    return Evidence(row["kind"], str(row["id"]), row["says"], show(row["since"]))
