"""What is known of who may be written to: found by keyed hashes, read for many at once, and put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import devices
from comms.actions.facts import place, value_hash
from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain import caps, quiet
from comms.domain.brand import Cap, QuietHours
from comms.domain.caps import Sent
from comms.domain.decision import Facts, Guard, decide
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of_digest
from comms.domain.permission import Evidence, Permission
from comms.domain.quiet import Zone
from comms.domain.recipient import folded
from comms.domain.schedule import show
from comms.privacy.cipher import Cipher
from comms.store import permission as rows

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """Who is written to, where, about what, and for which facts; the recipient is normalised."""

    brand: Brand
    person_id: str
    channel: str
    recipient: str
    category: str
    send_if: Mapping[str, str] = _NOTHING

    @property
    def quiet_hours(self) -> QuietHours | None:
        """The quiet hours that such a message waits for."""
        hours = self.brand.settings.quiet_hours
        return hours if hours and hours.keeps(self.category) else None

    @property
    def caps(self) -> list[Cap]:
        """All of the brand's, where one covers such a message."""
        limits = self.brand.settings.limits
        found = limits.caps if limits else []
        return found if any(each.covers(self.channel, self.category) for each in found) else []


@dataclass(slots=True)
class Known:
    """What was committed of one person, address and category when it was read."""

    permission: Permission
    guards: tuple[Guard, ...]
    zone: Zone
    sent: list[Sent] = field(default_factory=list)
    """Newest first."""
    version: int = 0
    """Of what was sent: whoever adds to it must have seen this one."""


class Message(NamedTuple):
    """What the judgement has to know of the message itself. Times are aware."""

    id: str
    now: datetime
    deadline: datetime
    max_late: timedelta
    usable_providers: int
    hipaa: bool
    erased: bool = False
    """Its person was erased: nobody knows who that was."""


async def known(house: House, group: list[Asked]) -> list[Known]:
    """What is known of each, in one round trip, as it was committed before that."""
    guards = [_guards(each) for each in group]
    places = [
        rows.Guard(n, each.brand.brand_id, *place(each.brand.cipher, name))
        for n, each in enumerate(group, 1)
        for name in each.send_if
    ]
    found: list[list[asyncpg.Record]] = [[] for _ in group]
    for row in await rows.facts(house.database.engine, [_keys(each) for each in group], places):
        found[row["n"] - 1].append(row)
    return [_known(*each) for each in zip(group, guards, found, strict=True)]


def facts(asked: Asked, known: Known, message: Message) -> Facts:
    """All that the judgement rests on, at whatever time `message` names.

    The deadline is moved to where it counts from. In whole milliseconds, as everything is shown and kept:
    what is replayed must decide alike.
    """
    now, deadline = _whole(message.now), _whole(message.deadline)
    hours, zone = asked.quiet_hours, known.zone
    sent = Sent(message.id, now, asked.channel, asked.category)
    return Facts(
        now=now,
        deadline=quiet.excused(deadline, message.max_late, hours, zone.name) if hours else deadline,
        usable_providers=message.usable_providers,
        hipaa=message.hipaa,
        permission=known.permission,
        guards=known.guards,
        quiet=quiet.look(hours, zone, now) if hours else None,
        caps=caps.counted(asked.caps, known.sent, sent),
        erased=message.erased,
    )


def with_this(asked: Asked, known: Known, facts: Facts, message_id: str) -> list[Sent]:
    """What the person has got once this message is handed over, newest first: as much as caps ask for."""
    one = Sent(message_id, facts.now, asked.channel, asked.category)
    return caps.with_another(asked.caps, known.sent, one)


async def require(house: House, asked: Asked, message: Message) -> None:
    """422 with the rule's code where it is certain now that nothing may be sent."""
    [found] = await known(house, [asked])
    verdict = decide(facts(asked, found, message))
    if verdict.verdict == "suppress":
        raise Refused(422, verdict.rule, verdict.reason)


def said_id(cipher: Cipher, kind: str, person_id: str, channel: str, category: str) -> UUID:
    """The id of the one row in which a person says this: `kind` is consent or preference."""
    digest = cipher.digest(kind, msgspec.json.encode([person_id, channel, category]))
    return UUID(bytes=digest, version=5)


def address_hash(brand: Brand, channel: str, recipient: str) -> bytes:
    """By which an address's suppressions are found; its bucket is where they are. A device is one by its
    id and by its token.
    """
    if channel == "push":
        recipient = str(devices.meant(brand, recipient))
    return brand.cipher.digest(f"address/{channel}", folded(recipient))


def _keys(asked: Asked) -> rows.Keys:
    cipher = asked.brand.cipher
    person = asked.brand.person(asked.person_id)
    address = address_hash(asked.brand, asked.channel, asked.recipient)
    said = (asked.person_id, asked.channel, asked.category)
    return rows.Keys(
        brand_id=asked.brand.brand_id,
        channel=asked.channel,
        person_bucket=person.bucket,
        person_hash=person.person_hash,
        consent_id=said_id(cipher, "consent", *said),
        preference_id=said_id(cipher, "preference", *said),
        address_bucket=bucket_of_digest(address),
        address_hash=address,
        wants_zone=asked.quiet_hours is not None,
        wants_sent=bool(asked.caps),
    )


def _guards(asked: Asked) -> dict[str, Guard]:
    """What must be so, by the id of the fact."""
    cipher = asked.brand.cipher
    made = (
        Guard(str(place(cipher, name).id), value_hash(cipher, name, value).hex())
        for name, value in asked.send_if.items()
    )
    return {each.id: each for each in made}


def _known(asked: Asked, guards: dict[str, Guard], found: list[asyncpg.Record]) -> Known:
    made = Known(Permission(asked.category), (), Zone(asked.brand.settings.timezone, asked.brand.brand_id))
    evidence = []
    for row in found:
        match row["kind"]:
            case "fact":
                guard = guards[str(row["id"])]
                guards[guard.id] = guard._replace(found=row["says"], since=show(row["since"]))
            case "zone":
                made.zone = Zone(row["says"], str(row["id"]), show(row["since"]))
            case "sent":
                made.version, sent = msgspec.json.decode(row["says"])
                made.sent = [Sent(each[0], datetime.fromisoformat(each[1]), *each[2:]) for each in sent]
            case _:
                evidence.append(Evidence(row["kind"], str(row["id"]), row["says"], show(row["since"])))
    made.permission = Permission(asked.category, tuple(evidence))
    made.guards = tuple(guards.values())
    return made


def _whole(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
