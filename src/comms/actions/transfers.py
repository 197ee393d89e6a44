"""Consents, preferences and suppressions, very many at a time: in from elsewhere, and out to elsewhere.

What comes in is written in groups, a transaction each; what goes out is read page by page, so that
neither takes more memory or a longer transaction for being more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import suppressions
from comms.actions.consents import About, row_id_of
from comms.actions.house import House
from comms.actions.reading import note_read
from comms.actions.setup import Brand
from comms.domain.brand import Channel
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused
from comms.domain.ids import BUCKETS
from comms.domain.permission import Reason
from comms.domain.schedule import show
from comms.privacy.cipher import PersonCipher
from comms.store import consents as rows
from comms.store import suppressions as suppressed

_PAGE = 1000
_FIRST = (b"", UUID(int=0))

Written = UUID | Refused
"""What became of one: the row's id, or why there is none."""


class Said(NamedTuple):
    """A consent (with its source) or a preference, said at a time: now, where that is None."""

    about: About
    allowed: bool
    source: str | None
    at: datetime | None


class Suppressed(NamedTuple):
    """An address that is not written to, since a time: now, where that is None."""

    channel: Channel
    address: str
    reason: Reason
    source: str
    since: datetime | None


async def put_said(
    house: House, caller: Caller, brand_id: str, given: list[Said], kind: rows.Kind
) -> list[Written]:
    """As if one after the other. What is known to have been said later is not undone: 409 `newer_known`."""
    caller.act_for(brand_id)
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    by, written = (caller.actor, caller.request_id), list[Written]()
    async with house.database.brand(brand_id) as connection:
        hashes = {brand.person(each.about.person_id)[-1] for each in given}
        persons = await house.keys.hold_all(connection, brand, hashes)
        made = [_imported(brand, persons, kind, each, now) for each in given]
        for group in _without_repeats(made):
            taken = await rows.put_many(connection, kind, group, now, by)
            written += [each.id if each.id in taken else _newer_known() for each in group]
    return written


async def put_suppressed(
    house: House, caller: Caller, brand_id: str, given: list[Suppressed]
) -> list[Written]:
    """One that stands for the same reason stays as it is, and is the answer."""
    caller.act_for(brand_id)
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    made = [_suppression(brand, each, now) for each in given]
    new = [each for each in made if isinstance(each, suppressed.NewSuppression)]
    async with house.database.brand(brand_id) as connection:
        found = await suppressed.add(connection, new, now, caller.actor, caller.request_id) if new else []
    standing = {(row["channel"], row["address_hash"], row["reason"]): row["id"] for row in found}
    return [
        each if isinstance(each, Refused) else standing[each.channel, each.address_hash, each.reason]
        for each in made
    ]


async def said(
    house: House, caller: Caller, brand_id: str, kind: rows.Kind
) -> AsyncIterator[list[dict[str, Any]]]:
    """All of a brand's, a page at a time, as an import takes them: not those of persons who were erased,
    since nobody knows whose they are. The ledger says who asked.
    """
    brand = await _opened(house, caller, brand_id, f"{kind}s")
    for bucket in BUCKETS:
        after = _FIRST
        while True:
            async with house.database.brand(brand_id) as connection:
                found = await rows.page(connection, kind, bucket, brand_id, after, _PAGE)
            if found:
                after = (found[-1]["person_hash"], found[-1]["id"])
                persons = await house.keys.many(brand, [row["person_hash"] for row in found])
                if shown := list(_show_said(persons, kind, found)):
                    yield shown
            if len(found) < _PAGE:
                break


async def standing(house: House, caller: Caller, brand_id: str) -> AsyncIterator[list[dict[str, Any]]]:
    """The same for suppressions that stand."""
    brand = await _opened(house, caller, brand_id, "suppressions")
    for bucket in BUCKETS:
        after = ("", b"", "")
        while True:
            async with house.database.brand(brand_id) as connection:
                found = await suppressed.page(connection, bucket, brand_id, after, _PAGE)
            if found:
                after = (found[-1]["channel"], found[-1]["address_hash"], found[-1]["reason"])
                if shown := [_show_suppressed(brand, row) for row in found if row["content"]]:
                    yield shown
            if len(found) < _PAGE:
                break


async def _opened(house: House, caller: Caller, brand_id: str, of: str) -> Brand:
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        await note_read(house, connection, caller, brand_id, 0, of, None)
    return brand


def _imported(
    brand: Brand, persons: Mapping[bytes, PersonCipher], kind: rows.Kind, given: Said, now: datetime
) -> rows.Imported:
    about = given.about
    bucket, brand_id, person = brand.person(about.person_id)
    row_id = row_id_of(brand, kind, about)
    content = [about.person_id] if given.source is None else [about.person_id, given.source]
    sealed = persons[person].seal(Plain(msgspec.json.encode(content)), row_id, kind)
    key = (bucket, row_id, brand_id, person, about.channel, about.category)
    return rows.Imported(*key, given.allowed, sealed, given.at or now)


def _suppression(brand: Brand, given: Suppressed, now: datetime) -> suppressed.NewSuppression | Refused:
    try:
        address = suppressions.spelt(brand, given.channel, given.address)
    except Refused as refused:
        return refused
    said = (given.channel, address, given.reason, given.source)
    return suppressions.suppression(brand, *said, now, given.since)


def _without_repeats(made: list[rows.Imported]) -> Iterator[list[rows.Imported]]:
    """In order, and no row twice in a group: one statement can write it once."""
    group: dict[UUID, rows.Imported] = {}
    for each in made:
        if each.id in group:
            yield list(group.values())
            group = {}
        group[each.id] = each
    if group:
        yield list(group.values())


def _newer_known() -> Refused:
    return Refused(409, "newer_known", "What is known here was said later; it stays as it is.")


def _show_said(
    persons: Mapping[bytes, PersonCipher], kind: rows.Kind, found: list[asyncpg.Record]
) -> Iterator[dict[str, Any]]:
    for row in found:
        person, sealed = persons[row["person_hash"]], Sealed(row["content"])
        if person.is_erased(sealed):
            continue
        person_id, *source = msgspec.json.decode(person.open(sealed, row["id"], kind))
        about = {"brand_id": row["brand_id"], "person_id": person_id, "channel": row["channel"]}
        what = {"opted_in": row["opted_in"], "source": source[0]} if source else {"enabled": row["enabled"]}
        yield {**about, "category": row["category"], **what, "changed_at": show(row["changed_at"])}


def _show_suppressed(brand: Brand, row: asyncpg.Record) -> dict[str, Any]:
    shown = suppressions.show_suppression(brand, row)
    return {name: value for name, value in shown.items() if name not in {"id", "lifted_at"}}
