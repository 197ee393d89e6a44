"""What a person may choose to be sent: by category and channel, as the brand's templates have them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from comms.actions import consents
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.reading import note_read
from comms.actions.setup import Brand
from comms.domain.caller import Caller
from comms.domain.permission import TRANSACTIONAL
from comms.privacy.cipher import PersonCipher
from comms.store import consents as rows
from comms.store import setup
from comms.store.database import Connection

SOURCE = "preferences page"
"""Where consent comes from that a person gives by ticking a box."""

_MOST = 1000


class Topic(NamedTuple):
    """What is switched on or off."""

    channel: str
    category: str


class _Said(NamedTuple):
    consented: dict[Topic, bool]
    enabled: dict[Topic, bool]

    def allows(self, topic: Topic) -> bool:
        """Would such a message come?"""
        return self.consented.get(topic, False) and self.enabled.get(topic, True)


async def choices(house: House, caller: Caller, brand: Brand, person_id: str) -> dict[Topic, bool]:
    """Every topic of the brand's templates, or of which the person has said something; is it on?

    What is transactional is no choice.
    """
    async with house.database.brand(brand.brand_id) as connection:
        said = await _said(connection, brand, person_id)
        bucket = brand.person(person_id).bucket
        await note_read(house, connection, caller, brand.brand_id, bucket, "choices", None)
    return {topic: said.allows(topic) for topic in await _topics(house, brand, said)}


async def choose(
    house: House,
    caller: Caller,
    brand: Brand,
    person_id: str,
    shown: Collection[Topic],
    wanted: Collection[Topic],
) -> dict[Topic, bool]:
    """Switch what was shown on where it is wanted and off where it is not; the rest stays as it is.

    On: consent is given unless it stands, and no preference is against it. Off: the preference is; the
    consent stays on record.
    """
    async with house.database.brand(brand.brand_id) as connection:
        person = await house.keys.hold(connection, brand, brand.person_hash(person_id))
        said = await _said(connection, brand, person_id)
        topics = await _topics(house, brand, said)
        for topic in topics:
            if topic in shown and (topic in wanted) != said.allows(topic):
                about = About(brand.brand_id, person_id, *topic)
                await _switch(house, caller, connection, brand, person, about, said, on=topic in wanted)
        said = await _said(connection, brand, person_id)
    return {topic: said.allows(topic) for topic in topics}


async def _switch(
    house: House,
    caller: Caller,
    connection: Connection,
    brand: Brand,
    person: PersonCipher,
    about: About,
    said: _Said,
    *,
    on: bool,
) -> None:
    topic = Topic(about.channel, about.category)
    if on and not said.consented.get(topic, False):
        given = consents.consent(house, caller, brand, person, about, opted_in=True, source=SOURCE)
        await rows.put_consent(connection, given)
    if said.enabled.get(topic, True) != on:
        switched = consents.preference(house, caller, brand, person, about, enabled=on)
        await rows.put_preference(connection, switched)


async def _said(connection: Connection, brand: Brand, person_id: str) -> _Said:
    wanted = (*brand.person(person_id), None, _MOST)
    consented, enabled = await rows.consents(connection, *wanted), await rows.preferences(connection, *wanted)
    return _Said(
        {Topic(row["channel"], row["category"]): row["opted_in"] for row in consented},
        {Topic(row["channel"], row["category"]): row["enabled"] for row in enabled},
    )


async def _topics(house: House, brand: Brand, said: _Said) -> list[Topic]:
    """In the order of categories, then channels."""
    found = await setup.many(house.database.owner, "topics", brand.brand_id)
    topics = {Topic(row["channel"], row["category"]) for row in found} | {*said.consented, *said.enabled}
    refusable = (topic for topic in topics if topic.category != TRANSACTIONAL)
    return sorted(refusable, key=lambda topic: (topic.category, topic.channel))
