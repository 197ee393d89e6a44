"""Addresses that a person may follow without a login: made for messages and callers, and opened again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.content import Plain
from comms.domain.errors import Refused
from comms.domain.permission import TRANSACTIONAL
from comms.privacy import addresses
from comms.render.versions import RESERVED, Version

_PATHS: dict[addresses.Purpose, str] = {"unsubscribe": "u", "preferences": "p", "secure": "s"}

_UNSUBSCRIBE_LIVES = timedelta(days=731)
"""As long as a mail is likely to be found again; 15 U.S.C. 7704(a)(3) asks for thirty days."""

_PREFERENCES_LIVE = timedelta(days=90)
"""In a message. Who asks for one by a call says how long."""


_LONGEST_HEADER = 960
"""Characters: a line of a mail has 998 (RFC 5322, section 2.1.1). Names of that length are nobody's."""


NO_MESSAGE = UUID(int=0)
"""Of a message that is only tried: its links lead nowhere, and are as long as others."""


class Reader(NamedTuple):
    """Who is written to, and about what."""

    person_id: str
    channel: str
    category: str


class Opened(NamedTuple):
    """What a signed address says: its brand, and the members that it was made of."""

    brand: Brand
    said: list[str]


def preferences(house: House, brand: Brand, person_id: str, expires: datetime) -> str:
    """Where the person may change what the brand sends, until `expires`."""
    return _address(house, brand, "preferences", _said(person_id), expires)


def unsubscribe(house: House, brand: Brand, reader: Reader) -> str:
    """Where the person may withdraw consent to the category on the channel."""
    return _address(house, brand, "unsubscribe", _said(*reader), house.clock.now() + _UNSUBSCRIBE_LIVES)


def secure(house: House, brand: Brand, message_id: UUID, expires: datetime) -> str:
    """Where the message's secure page is, until `expires`."""
    return _address(house, brand, "secure", Plain(message_id.bytes), expires)


def one_click(house: House, brand: Brand, reader: Reader) -> str | None:
    """The same for the headers of an e-mail that a person may refuse (RFC 8058); else None."""
    if reader.channel != "email" or reader.category == TRANSACTIONAL or not house.settings.public_url:
        return None
    url = unsubscribe(house, brand, reader)
    return url if len(url) <= _LONGEST_HEADER else None


def filled(
    house: House,
    brand: Brand,
    version: Version,
    reader: Reader,
    variables: dict[str, Any],
    message_id: UUID = NO_MESSAGE,
) -> dict[str, Any]:
    """The variables, with those of ours that the version reads; 422 `no_public_url` where there is none."""
    ours = {}
    if "unsubscribe_url" in version.reserved:
        ours["unsubscribe_url"] = unsubscribe(house, brand, reader)
    if "preferences_url" in version.reserved:
        ends = house.clock.now() + _PREFERENCES_LIVE
        ours["preferences_url"] = preferences(house, brand, reader.person_id, ends)
    if "secure_link" in version.reserved and version.page_lives is not None:
        ours["secure_link"] = secure(house, brand, message_id, house.clock.now() + version.page_lives)
    return variables | ours


def unfillable(house: House, category: str) -> dict[str, str]:
    """Variables of ours that can't be filled in a template of the category, and why."""
    if not house.settings.public_url:
        return dict.fromkeys(RESERVED, "needs COMMS_PUBLIC_URL; set it first.")
    if category == TRANSACTIONAL:
        why = "has nothing to withdraw: the template's category is transactional."
        return {"unsubscribe_url": why}
    return {}


async def opened(house: House, signed: str, purpose: addresses.Purpose) -> Opened:
    """What it says; 404 `bad_link` where we did not make it so, 410 `expired_link` where it has ended."""
    brand, plain = await _read(house, signed, purpose)
    said = msgspec.json.decode(plain, type=list[str])
    if purpose == "preferences":
        person = await house.keys.one(brand, brand.person_hash(said[0]))
        if person.is_destroyed:  # what was chosen would make the person anew; who unsubscribes only forbids
            raise expired()
    return Opened(brand, said)


async def opened_secure(house: House, signed: str) -> tuple[Brand, UUID]:
    """Whose message's secure page it leads to; refused as above."""
    brand, plain = await _read(house, signed, "secure")
    return brand, UUID(bytes=bytes(plain))


async def _read(house: House, signed: str, purpose: addresses.Purpose) -> tuple[Brand, Plain]:
    await house.setup.refresh()
    try:
        brand = await house.setup.brand(addresses.brand_of(signed))
        if brand is None:
            raise _bad_link()
        return brand, addresses.read(brand.cipher, signed, purpose, house.clock.now())
    except addresses.NotSigned:
        raise _bad_link() from None
    except addresses.Expired:
        raise expired() from None


def _said(*members: str) -> Plain:
    return Plain(msgspec.json.encode(members))


def _address(
    house: House, brand: Brand, purpose: addresses.Purpose, content: Plain, expires: datetime
) -> str:
    public = house.settings.public_url
    if not public:
        raise Refused(422, "no_public_url", "Signed addresses need COMMS_PUBLIC_URL; set it.")
    signed = addresses.sign(brand.cipher, brand.brand_id, purpose, content, expires)
    return f"{public.rstrip('/')}/{_PATHS[purpose]}/{signed}"


def expired() -> Refused:
    """410: the link has ended, or what it led to."""
    return Refused(410, "expired_link", "This link has expired. Follow the one in a newer message.")


def _bad_link() -> Refused:
    return Refused(404, "bad_link", "This link is not complete. Follow it from the message itself.")
