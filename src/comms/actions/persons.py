"""Persons: their zone and their language, where somebody has said so."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.errors import not_found
from comms.store import persons as rows


class Known(NamedTuple):
    """What may be known of a person: an IANA zone, a BCP 47 tag."""

    timezone: str | None
    locale: str | None


async def put(house: House, caller: Caller, brand_id: str, person_id: str, known: Known) -> dict[str, Any]:
    """Write down what is known of a person; what is not named is not known any more."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    key = brand.person(person_id)
    row_id = UUID(bytes=brand.cipher.digest("person", person_id), version=5)
    now, by = house.clock.now(), (caller.actor, caller.request_id)
    async with house.database.brand(brand_id) as connection:
        await rows.put(
            connection, rows.Person(key.bucket, row_id, brand_id, key.person_hash, *known, now, *by)
        )
    return _show(brand_id, person_id, known)


async def get(house: House, caller: Caller, brand_id: str, person_id: str) -> dict[str, Any]:
    """What is known of a person; 404 where nothing was said."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        row = await rows.get(connection, brand.person(person_id))
    if row is None:
        raise not_found("person")
    return _show(brand_id, person_id, Known(row["timezone"], row["locale"]))


async def version(house: House, brand: Brand, template: asyncpg.Record, person_id: str) -> UUID | None:
    """The template's current version in the person's language, else in the brand's; None: there is none.

    Only a template that speaks several languages costs the look at the person.
    """
    published = await house.setup.published(template)
    if published is None:
        return None
    locale = None
    if len(published.by_locale) > 1:
        row = await rows.get(house.database.engine, brand.person(person_id))
        locale = row["locale"] if row else None
    return published.nearest(locale, brand.settings.locale)


def _show(brand_id: str, person_id: str, known: Known) -> dict[str, Any]:
    """What is not known is not there."""
    named = {name: value for name, value in known._asdict().items() if value is not None}
    return {"brand_id": brand_id, "person_id": person_id, **named}
