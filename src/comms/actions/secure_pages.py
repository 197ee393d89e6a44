"""What a message says behind its `secure_link`: shown once, to who gives the proof; recalled by a call.

Nothing more is kept of it than of any message. The page is made when it is opened, of the version that the
message was accepted with and of its variables, which are sealed under the person's key: an erasure ends
it, and so does whatever else empties them. The link says which message; all else is in the page's row, which
each try holds while it is judged.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import addresses, proof
from comms.actions.house import House
from comms.actions.recipients import addressed
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import Sealed, SecurePage
from comms.domain.errors import Refused, not_found
from comms.domain.ids import bucket_of
from comms.domain.options import Proof
from comms.domain.proof import MOST_TRIES
from comms.domain.schedule import show
from comms.privacy.cipher import PersonCipher
from comms.render.versions import Version
from comms.store import audit, messages
from comms.store import secure_pages as rows
from comms.store.database import Connection


class Asked(NamedTuple):
    """What stands on the page before it is opened."""

    brand: Brand
    question: str


class Wrong(NamedTuple):
    """The answer was another one; so many tries are left."""

    asked: Asked
    left: int


class Shown(NamedTuple):
    """The page, this once."""

    brand: Brand
    page: SecurePage


class _Found(NamedTuple):
    """A message that has a page which nothing stands against yet."""

    row: asyncpg.Record
    brand: Brand
    person: PersonCipher
    person_id: str
    key_hash: bytes
    proof: Proof


async def ask(house: House, signed: str) -> Asked:
    """The question. Looking changes nothing, as often as programs do it that follow links."""
    brand, message_id = await addresses.opened_secure(house, signed)
    async with house.database.brand(brand.brand_id) as connection:
        found = await _find(house, connection, brand, message_id)
    return Asked(brand, found.proof.question)


async def answer(house: House, caller: Caller, signed: str, said: str) -> Shown | Wrong:
    """One try; refused with 410 once the page was shown, locked or recalled. Each is on the timeline."""
    brand, message_id = await addresses.opened_secure(house, signed)
    async with house.database.brand(brand.brand_id) as connection:
        found = await _find(house, connection, brand, message_id)
    is_right = await proof.matches(brand, found.proof, found.key_hash, said)
    async with house.database.brand(brand.brand_id) as connection:
        state = await rows.hold(connection, found.row["bucket"], message_id, brand.brand_id)
        _check(state.opened_at, state.locked_at, state.recalled_at)
        if is_right:
            return await _show(house, connection, caller, brand, message_id, state)
        state = await _refuse(house, connection, caller, found.row, state)
    _check(None, state.locked_at, None)
    return Wrong(Asked(brand, found.proof.question), MOST_TRIES - state.tries)


async def recall(house: House, caller: Caller, message_id: UUID) -> dict[str, str | None]:
    """From now on the page shows nothing; twice is once. `opened_at`: it was shown before."""
    await house.setup.refresh()
    bucket = bucket_of(message_id)
    async with house.database.brand(caller.brand_id) as connection:
        row = await messages.get(connection, bucket, message_id)
        if row is None:
            raise not_found("message")
        if (await house.setup.version(row["version_id"])).page_lives is None:
            raise Refused(422, "no_secure_page", "The message has no secure page that could be recalled.")
        begun = await messages.begun(connection, bucket, message_id)
        if row["status"] == "scheduled" and not begun["may_be_taken"]:
            raise Refused(409, "not_sent", "The message waits, and nobody has its link; cancel it instead.")
        state = await rows.hold(connection, bucket, message_id, row["brand_id"])
        if state.recalled_at is None:
            state = state._replace(recalled_at=house.clock.now())
            await rows.record(connection, bucket, message_id, state)
            await _note(house, connection, caller, row, "page_recalled")
    assert state.recalled_at  # noqa: S101 - said a line before
    opened = show(state.opened_at) if state.opened_at else None
    return {"message_id": str(message_id), "recalled_at": show(state.recalled_at), "opened_at": opened}


async def _find(house: House, connection: Connection, brand: Brand, message_id: UUID) -> _Found:
    """The message behind a link, open and readable; 410 where it is not, or not any more."""
    row = await rows.message(connection, bucket_of(message_id), message_id)
    if row is None:
        raise addresses.expired()
    _check(row["opened_at"], row["locked_at"], row["recalled_at"])
    person = await house.keys.one(brand, row["person_hash"], connection)
    options = Sealed(row["options"]) if row["options"] else None
    if options is None or person.is_erased(options) or person.is_erased(Sealed(row["variables"])):
        raise addresses.expired()
    said = addressed(person, message_id, Sealed(row["address"]), options)
    if said.erased or said.options.proof is None:
        raise addresses.expired()
    return _Found(row, brand, person, said.person_id, _key_hash(brand, person, row), said.options.proof)


def _key_hash(brand: Brand, person: PersonCipher, row: asyncpg.Record) -> bytes:
    _, _, dedup_key = msgspec.json.decode(person.open(Sealed(row["address"]), row["id"], "address"))
    return brand.cipher.digest("dedup_key", dedup_key)


async def _show(
    house: House,
    connection: Connection,
    caller: Caller,
    brand: Brand,
    message_id: UUID,
    state: rows.State,
) -> Shown:
    """What cannot be made is not spent. Read anew: the person may have been erased since the try began."""
    found = await _find(house, connection, brand, message_id)
    page = await _make(house, found)
    opened = state._replace(opened_at=house.clock.now())
    await rows.record(connection, found.row["bucket"], message_id, opened)
    await _note(house, connection, caller, found.row, "page_opened")
    return Shown(brand, page)


async def _refuse(
    house: House, connection: Connection, caller: Caller, row: asyncpg.Record, state: rows.State
) -> rows.State:
    """One try less, and the page locked with the last one."""
    tries = state.tries + 1
    refused = state._replace(tries=tries, locked_at=house.clock.now() if tries >= MOST_TRIES else None)
    await rows.record(connection, row["bucket"], row["id"], refused)
    event = "page_locked" if refused.locked_at else "page_refused"
    await _note(house, connection, caller, row, event, tries=tries)
    return refused


async def _make(house: House, found: _Found) -> SecurePage:
    row, version = found.row, await house.setup.version(found.row["version_id"])
    variables = msgspec.json.decode(found.person.open(Sealed(row["variables"]), row["id"], "variables"))
    page = version.page(await _filled(house, found, version, variables))
    if page is None:
        raise addresses.expired()
    return page


async def _filled(
    house: House, found: _Found, version: Version, variables: dict[str, object]
) -> dict[str, object]:
    template = await house.setup.template_by_id(found.row["template_id"])
    category = template["category"] if template else ""
    reader = addresses.Reader(found.person_id, found.row["channel"], category)
    return addresses.filled(house, found.brand, version, reader, variables, found.row["id"])


def _check(opened_at: object, locked_at: object, recalled_at: object) -> None:
    """410 where the page is not shown any more, and why."""
    if recalled_at:
        raise Refused(
            410, "link_recalled", "Who sent you this has taken it back. Ask them if you expected it."
        )
    if opened_at:
        why = "This page was opened already; it opens once. If that was not you, tell who sent it to you."
        raise Refused(410, "link_used", why)
    if locked_at:
        why = "There were too many wrong answers, and the page is locked. Ask who sent it for a new one."
        raise Refused(410, "link_locked", why)


async def _note(
    house: House, connection: Connection, caller: Caller, row: asyncpg.Record, event: str, **details: int
) -> None:
    key = (row["bucket"], row["id"], row["brand_id"], house.clock.now())
    done = audit.Note(*key, event, details or None, caller.actor, caller.request_id)
    await audit.note(connection, done)
