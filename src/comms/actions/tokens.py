"""Tokens: made, shown once, kept as a hash, revoked at once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.caller import ANY, SCOPES, Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused, invalid, invalid_token
from comms.domain.schedule import show
from comms.privacy.cipher import Erased
from comms.store import setup as rows
from comms.store.database import Connection

PREFIX = "comms_"
MAKES_BRANDS = {"manage:brands", "admin:comms"}
"""With either a token may make the brand that it is for: that one need not be there yet."""


async def create(
    house: House,
    caller: Caller,
    brand_id: str,
    scopes: list[str],
    name: str | None,
    lifetime: timedelta | None,
    person_id: str | None,
) -> str:
    """A new token: the only time that it is seen. A person's own carries no scopes."""
    _check(brand_id, scopes, name, person_id)
    token, token_id, now = PREFIX + secrets.token_urlsafe(32), uuid4(), house.clock.now()
    is_needed = brand_id != ANY and not MAKES_BRANDS.intersection(scopes)
    named = await house.setup.require_brand(brand_id) if is_needed or person_id else None
    brand = named if person_id else None
    async with house.database.owner.acquire() as connection, connection.transaction():
        expires = now + lifetime if lifetime else None
        person = await _seal_person(house, connection, brand, person_id, token_id) if brand else (None, None)
        values = (
            token_id,
            name or str(token_id)[:8],
            _digest(token),
            brand_id,
            *person,
            scopes,
            now,
            expires,
        )
        try:
            await rows.add_token(connection, *values)
        except asyncpg.UniqueViolationError:
            raise Refused(
                422, "name_taken", "Another live token has that name; choose another one."
            ) from None
        await rows.note(connection, brand_id, now, "token_created", {"token_id": str(token_id)}, _by(caller))
    return token


def _check(brand_id: str, scopes: list[str], name: str | None, person_id: str | None) -> None:
    if person_id is not None and scopes:
        raise invalid("A person's token carries no scopes; leave them out.")
    for said in (brand_id, name):
        if said is not None and not (said and said.isprintable()):
            raise invalid("Brand and name of a token must be printable, and not empty.")
    if person_id == "":
        raise invalid("The person of a token must not be empty.")
    for scope in scopes:
        if scope not in SCOPES:
            raise invalid(f"There is no such scope; there are {', '.join(SCOPES)}.")


async def revoke(house: House, caller: Caller, name: str) -> bool:
    """From now on the token is refused, within a second in every process; False where there is none."""
    now = house.clock.now()
    async with house.database.owner.acquire() as connection, connection.transaction():
        revoked = await rows.write(connection, "revoke_token", name, now)
        if revoked:
            token_id = revoked["token_id"]
            await rows.note(connection, ANY, now, "token_revoked", {"token_id": str(token_id)}, _by(caller))
    return revoked is not None


async def authenticate(house: House, token: str, request_id: UUID) -> Caller:
    """Who holds this token; 401 `invalid_token` where it is unknown, revoked or expired.

    Those of ours are known by their beginning, and never shown to the platform that issues others.
    """
    if house.platform is not None and not token.startswith(PREFIX):
        return await house.platform.caller(token, request_id)
    await house.setup.refresh()
    row = await house.setup.token(_digest(token)) if token.startswith(PREFIX) else None
    if row is None or _is_over(row["expires_at"], house.clock.now()):
        raise invalid_token()
    person = await _open_person(house, row) if row["person"] is not None else None
    return Caller(row["name"], row["brand_id"], frozenset(row["scopes"]), request_id, person)


def _by(caller: Caller) -> tuple[str, UUID]:
    return caller.actor, caller.request_id


def _is_over(expires: datetime | None, now: datetime) -> bool:
    return expires is not None and expires <= now


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def _seal_person(
    house: House, connection: Connection, brand: Brand, person_id: str | None, token_id: UUID
) -> tuple[Sealed, bytes]:
    """Whose the token is, and the hash by which an erasure finds it."""
    plain = Plain((person_id or "").encode())
    hashed = brand.person_hash(person_id or "")
    person = await house.keys.hold(connection, brand, hashed)
    return person.seal(plain, token_id, "person"), hashed


async def _open_person(house: House, row: asyncpg.Record) -> str:
    brand = await house.setup.brand(row["brand_id"])
    if brand is None:
        raise invalid_token("The token's brand is not there any more.")
    sealed = Sealed(row["person"])
    person = await house.keys.one(brand, row["person_hash"]) if row["person_hash"] else brand.cipher
    try:
        return person.open(sealed, row["token_id"], "person").decode()
    except Erased:
        raise invalid_token("The token's person was erased.") from None


async def listed(house: House) -> list[tuple[str, str, str, str]]:
    """Name, brand, scopes and state of every token, newest first."""
    now = house.clock.now()
    return [
        (row["name"], row["brand_id"], ",".join(row["scopes"]) or "one person's", _state(row, now))
        for row in await rows.many(house.database.owner, "tokens")
    ]


def _state(row: asyncpg.Record, now: datetime) -> str:
    if row["revoked_at"]:
        return "revoked"
    if _is_over(row["expires_at"], now):
        return "expired"
    return f"live until {show(row['expires_at'])}" if row["expires_at"] else "live"
