"""One person: what was sent, what is allowed, which addresses are not written to."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response

from comms.actions import consents, devices, messages, suppressions
from comms.actions.consents import About
from comms.console.visit import Visit
from comms.domain.content import ERASED
from comms.domain.errors import invalid
from comms.store.messages import Filter

PREFERENCES = "manage:preferences"
_MOST = 100
_WRITTEN_TO = ("email", "sms")


async def ask(visit: Visit) -> Response:
    """Whom to look for."""
    visit.need(PREFERENCES)
    return await visit.show("persons.html", person_id=None)


async def show(visit: Visit) -> Response:
    """All that is known of the person."""
    visit.need(PREFERENCES)
    return await _show(visit)


async def set_preference(visit: Visit) -> Response:
    """The person's own switch, set for the person."""
    visit.need(PREFERENCES)
    about = await _about(visit)
    enabled = visit.asked.get("enabled") == "yes"
    await consents.put_preference(visit.house, visit.caller, about, enabled=enabled)
    return await _show(visit)


async def withdraw(visit: Visit) -> Response:
    """Consent withdrawn, as the person asked."""
    visit.need(PREFERENCES)
    about = await _about(visit)
    await consents.put_consent(visit.house, visit.caller, about, opted_in=False, source="console")
    return await _show(visit)


async def lift(visit: Visit) -> Response:
    """An address is written to again."""
    visit.need(PREFERENCES)
    await suppressions.lift(visit.house, visit.caller, visit.path_id("suppression"))
    return await _show(visit)


async def _about(visit: Visit) -> About:
    brand_id = await visit.brand_id()
    try:
        person_id, channel, category = (visit.asked[name] for name in ("person_id", "channel", "category"))
    except KeyError:
        raise invalid("Name the person, the channel and the category.") from None
    return About(brand_id or "", person_id, channel, category)


async def _show(visit: Visit) -> Response:
    brand_id, person_id = await visit.brand_id(), visit.asked.get("person_id")
    if not (brand_id and person_id):
        return await visit.show("persons.html", person_id=None)
    house, caller = visit.house, visit.caller
    everything: tuple[str, str, int, UUID | None] = (brand_id, person_id, _MOST, None)
    sent = []
    if caller.allows("read:messages"):
        hashes = await messages.digests(house, brand_id, person_id=person_id)
        sent = await messages.find(house, caller, Filter(brand_id, person_hash=hashes["person_id"]), _MOST)
    held = await devices.listed(house, caller, brand_id, person_id)
    addresses = {(each["channel"], each["recipient"]) for each in sent if each["channel"] in _WRITTEN_TO}
    addresses |= {("push", each["id"]) for each in held}
    standing = [
        await suppressions.of_address(house, caller, brand_id, address, channel)
        for channel, address in sorted(addresses)
        if address != ERASED
    ]
    return await visit.show(
        "persons.html",
        person_id=person_id,
        messages=sent,
        consents=await consents.consents(house, caller, *everything),
        preferences=await consents.preferences(house, caller, *everything),
        suppressions=[each for each in standing if each],
        devices=held,
    )
