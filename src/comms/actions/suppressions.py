"""Addresses that are not written to: added for a reason, looked up, lifted."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import devices
from comms.actions.house import House
from comms.actions.permission import address_hash
from comms.actions.reading import note_read
from comms.actions.setup import Brand
from comms.domain.brand import Channel
from comms.domain.caller import Caller
from comms.domain.content import ERASED, Plain, Sealed
from comms.domain.errors import Refused, not_found
from comms.domain.ids import bucket_of, bucket_of_digest, message_id
from comms.domain.permission import WEIGHT, Reason
from comms.domain.recipient import PERSON, normalise
from comms.domain.schedule import show
from comms.store import suppressions as rows

_REPORTED: dict[str, Reason] = {
    **dict.fromkeys(("bounce", "bounced", "hardbounce", "emailbounced", "bademailaddress"), "hard_bounce"),
    **dict.fromkeys(
        ("complaint", "complained", "spamcomplaint", "spamreport", "emailcomplained"), "complaint"
    ),
    **dict.fromkeys(("unsubscribe", "unsubscribed", "groupunsubscribe"), "unsubscribe"),
}
"""What vendors call these, by its letters. A soft bounce has another name with each, and is none."""
MEMBERS: dict[str, Channel] = {"email": "email", "number": "sms", "device": "push"}
"""What an address is called, and the channel that it is of. In-app needs none: the inbox is the person's."""

_NAMES = {channel: member for member, channel in MEMBERS.items()}
_WANTED = {
    "email": "email must be one e-mail address, such as ada@example.org.",
    "sms": "number must be a telephone number in E.164 form, such as +15555550123.",
    "push": "device must be a device's id or its token, without control characters.",
}


async def add(
    house: House,
    caller: Caller,
    brand_id: str,
    address: str,
    reason: Reason,
    source: str,
    channel: Channel = "email",
) -> dict[str, Any]:
    """Suppress an address. One that stands for the same reason is answered as it is."""
    caller.act_for(brand_id)
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    new = suppression(brand, channel, spelt(brand, channel, address), reason, source, now)
    by = (caller.actor, caller.request_id)
    async with house.database.brand(brand_id) as connection:
        [row] = await rows.add(connection, [new], now, *by)
    return show_suppression(brand, row)


async def report(
    house: House, caller: Caller, brand_id: str, email: str, said: str, vendor_message_id: str
) -> bool:
    """Suppress an address by a report of a bounce, a complaint, an unsubscribe; False: it is none of them."""
    reason = _REPORTED.get("".join(each for each in said.lower() if each.isalpha()))
    caller.act_for(brand_id)
    brand, now = await house.setup.require_brand(brand_id), house.clock.now()
    address = spelt(brand, "email", email)
    if reason is None:
        return False
    new = suppression(brand, "email", address, reason, vendor_message_id or "webhooks/email", now)
    by = (caller.actor, caller.request_id)
    async with house.database.brand(brand_id) as connection:
        await rows.add(connection, [new], now, *by)
    return True


async def of_address(
    house: House, caller: Caller, brand_id: str, address: str, channel: Channel = "email"
) -> dict[str, Any] | None:
    """The weightiest suppression that stands; None: the address is free."""
    caller.act_for(brand_id)
    brand = await house.setup.require_brand(brand_id)
    wanted = address_hash(brand, channel, spelt(brand, channel, address))
    bucket = bucket_of_digest(wanted)
    async with house.database.brand(brand_id) as connection:
        standing = await rows.standing(connection, bucket, brand_id, channel, wanted)
        if standing:
            await note_read(house, connection, caller, brand_id, bucket, "suppression", None)
    weightiest = min(standing, key=lambda row: WEIGHT.index(row["reason"]), default=None)
    return show_suppression(brand, weightiest) if weightiest else None


async def lift(house: House, caller: Caller, suppression_id: UUID) -> dict[str, Any]:
    """Lift one: it stays on record. Twice is once."""
    bucket, now = bucket_of(suppression_id), house.clock.now()
    async with house.database.brand(caller.brand_id) as connection:
        await rows.lift(connection, bucket, suppression_id, now, caller.actor, caller.request_id)
        row = await rows.get(connection, bucket, suppression_id)
    if row is None:
        raise not_found("suppression")
    return show_suppression(await house.setup.require_brand(row["brand_id"]), row)


def suppression(
    brand: Brand,
    channel: str,
    address: str,
    reason: Reason,
    source: str,
    now: datetime,
    since: datetime | None = None,
) -> rows.NewSuppression:
    """The row that suppresses a normalised address, `since` a time that may have passed; its id carries its
    bucket.
    """
    digest = address_hash(brand, channel, address)
    new_id = message_id(now, digest, os.urandom(8))
    content = Plain(msgspec.json.encode([address, source]))
    sealed = brand.cipher.seal(content, new_id, "suppression")
    key = (bucket_of_digest(digest), new_id, brand.brand_id, channel, digest)
    return rows.NewSuppression(*key, reason, sealed, since or now)


def spelt(brand: Brand, channel: Channel, address: str) -> str:
    """The address in its one spelling, a device by its id; 422 `invalid_recipient` where it is none."""
    try:
        found = normalise(channel, address)
    except Refused as refused:
        raise Refused(422, refused.code, _WANTED[channel]) from None
    if channel != "push":
        return found
    if found == PERSON:
        raise Refused(422, "invalid_recipient", "device must be one device: a person withdraws consent.")
    return str(devices.meant(brand, found))


def show_suppression(brand: Brand, row: asyncpg.Record) -> dict[str, Any]:
    """A suppression with the published members; its address under the name of its kind."""
    address = source = ERASED
    if row["content"]:
        opened = brand.cipher.open(Sealed(row["content"]), row["id"], "suppression")
        address, source = msgspec.json.decode(opened)
    return {
        "id": str(row["id"]),
        "brand_id": row["brand_id"],
        _NAMES[row["channel"]]: address,
        "reason": row["reason"],
        "source": source,
        "suppressed_at": show(row["suppressed_at"]),
        "lifted_at": show(row["lifted_at"]) if row["lifted_at"] else None,
    }
