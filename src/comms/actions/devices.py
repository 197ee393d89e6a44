"""Devices: registered for a person, and found again when a push goes to the person."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused, not_found
from comms.domain.ids import bucket_of_digest
from comms.domain.recipient import PERSON
from comms.domain.schedule import show
from comms.privacy.cipher import PersonCipher
from comms.providers import subscription
from comms.providers.base import Device
from comms.providers.subscription import NoSubscription
from comms.store import audit
from comms.store import devices as rows
from comms.store.database import Connection

_MOST = 100
"""Devices of one person that a push goes to, the newest first."""


async def put(
    house: House, caller: Caller, brand_id: str, person_id: str, kind: str, token: str, app: str | None
) -> dict[str, Any]:
    """Register a device. The same token again is the same device, whoever holds it now.

    422 `invalid_recipient` for a browser's subscription that is none, or whose endpoint leads inside.
    """
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    if kind == "webpush":
        try:
            token = subscription.read(token, outside=not await _is_stood_in(house, brand)).text()
        except NoSubscription as wrong:
            raise Refused(422, "invalid_recipient", f"token {wrong}.") from None
    device_id = identify(brand, token)
    plain = Plain(msgspec.json.encode([person_id, token]))
    person_hash = brand.person_hash(person_id)
    async with house.database.brand(brand_id) as connection:
        person = await house.keys.hold(connection, brand, person_hash)
        sealed = person.seal(plain, device_id, "device")
        row = await rows.put(
            connection, device_id, brand_id, person_hash, kind, sealed, app, house.clock.now()
        )
        await _note(house, connection, caller, brand_id, device_id, "device_put")
    return _show(row, person_id)


async def listed(house: House, caller: Caller, brand_id: str, person_id: str) -> list[dict[str, Any]]:
    """The person's devices, newest first, without their tokens."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    async with house.database.brand(brand_id) as connection:
        found = await rows.of_person(connection, brand_id, brand.person_hash(person_id), _MOST)
    return [_show(row, person_id) for row in found]


async def remove(house: House, caller: Caller, brand_id: str, device_id: UUID) -> None:
    """Forget a device."""
    caller.act_for(brand_id)
    async with house.database.brand(brand_id) as connection:
        if not await rows.remove(connection, brand_id, device_id):
            raise not_found("device")
        await _note(house, connection, caller, brand_id, device_id, "device_removed")


async def reached(house: House, brand: Brand, person_id: str, recipient: str) -> list[Device]:
    """Where a push to `recipient` goes: `person`, a registered device's id, or a token as it is."""
    engine = house.database.engine
    person_hash = brand.person_hash(person_id)
    if recipient == PERSON:
        found = await rows.of_person(engine, brand.brand_id, person_hash, _MOST)
        return await _devices(house, brand, person_hash, found)
    device_id = _named(recipient)
    if device_id is None:
        return [Device(recipient, "webpush" if _looks_like_a_subscription(recipient) else None)]
    row = await rows.get(engine, brand.brand_id, device_id)
    return await _devices(house, brand, person_hash, [row] if row else [])


async def require(house: House, brand: Brand, person_id: str, recipient: str) -> None:
    """422 `invalid_recipient` for a device's id that is none of the person's, or no subscription."""
    if _looks_like_a_subscription(recipient):
        try:
            subscription.read(recipient, outside=not await _is_stood_in(house, brand))
        except NoSubscription as wrong:
            raise Refused(422, "invalid_recipient", f"recipient {wrong}.") from None
    if _named(recipient) and not await reached(house, brand, person_id, recipient):
        raise Refused(
            422, "invalid_recipient", "recipient is a device's id, but the person has no such device now."
        )


async def _note(
    house: House, connection: Connection, caller: Caller, brand_id: str, device_id: UUID, event: str
) -> None:
    """An entry where the device's id leads: it comes from a keyed hash, as buckets do."""
    key = (bucket_of_digest(device_id.bytes), None, brand_id, house.clock.now())
    details = {"device_id": str(device_id)}
    await audit.note(connection, audit.Note(*key, event, details, caller.actor, caller.request_id))


def identify(brand: Brand, token: str) -> UUID:
    """What the device of that token is called, registered or not: a name that says nothing of it."""
    return UUID(bytes=brand.cipher.digest("device", _one_spelling(token))[:16], version=5)


def meant(brand: Brand, recipient: str) -> UUID:
    """The device that a push to `recipient` goes to, by its id or by its token."""
    return _named(recipient) or identify(brand, recipient)


def _one_spelling(token: str) -> str:
    if _looks_like_a_subscription(token):
        try:
            return subscription.read(token, outside=False).text()
        except NoSubscription:
            pass
    return token


def _looks_like_a_subscription(token: str) -> bool:
    """No other service's tokens begin like a JSON object."""
    return token.lstrip().startswith("{")


async def _is_stood_in(house: House, brand: Brand) -> bool:
    """Does another server take the place of the push services (`base_url`)? Then endpoints are not called."""
    route = await house.setup.route(brand, "push", hipaa=False)
    return any(each.kind == "webpush" and each.settings.get("base_url") for each in route)


def _named(recipient: str) -> UUID | None:
    """Our own ids are UUIDs of version 5; the push services' tokens are longer."""
    try:
        found = UUID(recipient)
    except ValueError:
        return None
    return found if found.version == 5 and str(found) == recipient else None


async def _devices(
    house: House, brand: Brand, person_hash: bytes, found: list[asyncpg.Record]
) -> list[Device]:
    """Those that are the person's, and of the person as they are now: not of one who was erased."""
    person = await house.keys.one(brand, person_hash) if found else None
    theirs = [row for row in found if row["person_hash"] == person_hash]
    return [_device(person, row) for row in theirs if person and not person.is_erased(Sealed(row["content"]))]


def _device(person: PersonCipher, row: asyncpg.Record) -> Device:
    opened = person.open(Sealed(row["content"]), row["device_id"], "device")
    _, token = msgspec.json.decode(opened)
    return Device(token, row["kind"], row["app"])


def _show(row: asyncpg.Record, person_id: str) -> dict[str, Any]:
    return {
        "id": str(row["device_id"]),
        "brand_id": row["brand_id"],
        "person_id": person_id,
        "kind": row["kind"],
        "app": row["app"],
        "created_at": show(row["created_at"]),
    }
