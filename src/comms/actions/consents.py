"""Consents and preferences: written down with their source, shown, and asked about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.permission import said_id
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import ERASED, Plain, Sealed
from comms.domain.permission import consent_reason
from comms.privacy.cipher import PersonCipher
from comms.store import consents as rows


class About(msgspec.Struct, frozen=True):
    """What is said something of: a category on a channel, by a person of a brand."""

    brand_id: str
    person_id: str
    channel: str
    category: str


async def put_consent(
    house: House, caller: Caller, about: About, *, opted_in: bool, source: str
) -> dict[str, Any]:
    """Consent as it was given or withdrawn, and where that comes from."""
    caller.act_for(about.brand_id)
    brand = await house.setup.require_brand(about.brand_id)
    async with house.database.brand(about.brand_id) as connection:
        person = await house.keys.hold(connection, brand, brand.person_hash(about.person_id))
        said = consent(house, caller, brand, person, about, opted_in=opted_in, source=source)
        await rows.put_consent(connection, said)
    return _show_consent(str(said.id), about, opted_in=opted_in, source=source)


async def unsubscribe(house: House, caller: Caller, about: About) -> dict[str, Any]:
    """Withdraw consent; the source is this call."""
    made = await put_consent(house, caller, about, opted_in=False, source="unsubscribe")
    return {**msgspec.structs.asdict(about), "opted_in": made["opted_in"]}


async def consents(
    house: House, caller: Caller, brand_id: str, person_id: str, limit: int, before: UUID | None
) -> list[dict[str, Any]]:
    """The person's consents, given and withdrawn, newest first."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    key = brand.person(person_id)
    async with house.database.brand(brand_id) as connection:
        found = await rows.consents(connection, *key, before, limit)
    person = await house.keys.one(brand, key[-1])
    return [
        _show_consent(
            str(row["id"]),
            _about(person, row, person_id),
            opted_in=row["opted_in"],
            source=source_of(person, row),
        )
        for row in found
    ]


async def check(house: House, caller: Caller, about: About) -> dict[str, Any]:
    """What the person's consent says now; preferences and suppressions are not asked."""
    caller.act_for(about.brand_id)
    brand = await house.setup.require_brand(about.brand_id)
    bucket, _, hashed = brand.person(about.person_id)
    async with house.database.brand(about.brand_id) as connection:
        row = await rows.consent(connection, bucket, row_id_of(brand, "consent", about))
    reason = consent_reason(about.category, row["opted_in"] if row else None)
    return {
        "consented": reason in {"transactional_bypass", "opted_in"},
        "reason": reason,
        "opted_in": row["opted_in"] if row else None,
        "source": source_of(await house.keys.one(brand, hashed), row) if row else None,
    }


async def put_preference(house: House, caller: Caller, about: About, *, enabled: bool) -> dict[str, Any]:
    """The person's own switch."""
    caller.act_for_person(about.brand_id, about.person_id)
    brand = await house.setup.require_brand(about.brand_id)
    async with house.database.brand(about.brand_id) as connection:
        person = await house.keys.hold(connection, brand, brand.person_hash(about.person_id))
        said = preference(house, caller, brand, person, about, enabled=enabled)
        await rows.put_preference(connection, said)
    return _show_preference(str(said.id), about, enabled=enabled)


async def preferences(
    house: House, caller: Caller, brand_id: str, person_id: str, limit: int, before: UUID | None
) -> list[dict[str, Any]]:
    """The person's switches, newest first."""
    caller.act_for_person(brand_id, person_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        found = await rows.preferences(connection, *brand.person(person_id), before, limit)
    person = await house.keys.one(brand, brand.person_hash(person_id))
    return [
        _show_preference(str(row["id"]), _about(person, row, person_id), enabled=row["enabled"])
        for row in found
    ]


def consent(
    house: House,
    caller: Caller,
    brand: Brand,
    person: PersonCipher,
    about: About,
    *,
    opted_in: bool,
    source: str,
) -> rows.Said:
    """The row that says so."""
    content = [about.person_id, source]
    return _said(house, caller, brand, person, "consent", about, allowed=opted_in, content=content)


def preference(
    house: House, caller: Caller, brand: Brand, person: PersonCipher, about: About, *, enabled: bool
) -> rows.Said:
    """The row that says so."""
    content = [about.person_id]
    return _said(house, caller, brand, person, "preference", about, allowed=enabled, content=content)


def _said(
    house: House,
    caller: Caller,
    brand: Brand,
    person: PersonCipher,
    kind: str,
    about: About,
    *,
    allowed: bool,
    content: list[str],
) -> rows.Said:
    bucket, _, hashed = brand.person(about.person_id)
    row_id = row_id_of(brand, kind, about)
    return rows.Said(
        bucket=bucket,
        id=row_id,
        brand_id=brand.brand_id,
        person_hash=hashed,
        channel=about.channel,
        category=about.category,
        allowed=allowed,
        content=person.seal(Plain(msgspec.json.encode(content)), row_id, kind),
        now=house.clock.now(),
        actor=caller.actor,
        request_id=caller.request_id,
    )


def row_id_of(brand: Brand, kind: str, about: About) -> UUID:
    """Of the one row in which that is said."""
    return said_id(brand.cipher, kind, about.person_id, about.channel, about.category)


def _about(person: PersonCipher, row: asyncpg.Record, person_id: str) -> About:
    erased = person.is_erased(Sealed(row["content"]))
    return About(row["brand_id"], ERASED if erased else person_id, row["channel"], row["category"])


def source_of(person: PersonCipher, row: asyncpg.Record) -> str:
    """Where a consent comes from."""
    sealed = Sealed(row["content"])
    if person.is_erased(sealed):
        return ERASED
    _, source = msgspec.json.decode(person.open(sealed, row["id"], "consent"))
    return str(source)


def _show_consent(consent_id: str, about: About, *, opted_in: bool, source: str) -> dict[str, Any]:
    return {"id": consent_id, **msgspec.structs.asdict(about), "opted_in": opted_in, "source": source}


def _show_preference(preference_id: str, about: About, *, enabled: bool) -> dict[str, Any]:
    return {"id": preference_id, **msgspec.structs.asdict(about), "enabled": enabled}
