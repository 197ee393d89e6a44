"""The one call: send this template to this person at this time, and never twice.

`schedule` and `send` differ only in when, and in what a used key means to them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import addresses, devices, permission, persons, proof, supersession
from comms.actions.house import House
from comms.actions.messages import show_message
from comms.actions.person_keys import Sealing
from comms.actions.setup import Brand
from comms.domain import schedule as time
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused, Unavailable, invalid
from comms.domain.ids import bucket_of_digest, message_id
from comms.domain.options import Kept, Options
from comms.domain.recipient import normalise
from comms.domain.schedule import When, show
from comms.privacy.cipher import PersonCipher
from comms.store import messages as rows
from comms.traces import NOTHING, Part, here

_TRIES = 10
_NO_OPTIONS = Options()
_MEMBERS = (
    "channel",
    "template_key",
    "recipient",
    "person_id",
    "variables",
    "hipaa",
    "scheduled_at",
    "options",
)
_MARK = 6
"""Bytes of a member's fingerprint: enough to tell that it differs, too few to try values against."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for; `scheduled_at` is None for at once."""

    channel: str
    template_key: str
    recipient: str
    brand_id: str
    person_id: str
    dedup_key: str
    scheduled_at: str | None
    variables: dict[str, Any] = field(default_factory=dict)
    hipaa: bool = False
    options: Options = _NO_OPTIONS
    through: str | None = None
    """Of a canary: the provider that it watches."""

    @property
    def kind(self) -> str:
        """Which call it was."""
        return "send" if self.scheduled_at is None else "schedule"


class Accepted(NamedTuple):
    """The message as it stands, and whether an earlier request had made it."""

    message: dict[str, Any]
    replayed: bool


class _Asked(NamedTuple):
    """A request in its canonical form, with the hashes that find its key again."""

    request: Request
    brand: Brand
    when: When
    recipient: str
    key_hash: bytes
    fingerprint: bytes

    @property
    def bucket(self) -> int:
        return bucket_of_digest(self.key_hash)

    @property
    def is_hipaa(self) -> bool:
        """A brand may say that all of its messages are."""
        return self.request.hipaa or bool(self.brand.settings.hipaa)


async def schedule(house: House, caller: Caller, request: Request, *, bulk: bool = False) -> Accepted:
    """Accept a message, once: the same key again answers the first message. `bulk`: one of very many."""
    with NOTHING if bulk else here().part("accept") as part:  # a batch is one part, however many it brings
        accepted = await _accept(house, caller, request, part, bulk=bulk)
        part.note(
            message_id=accepted.message["id"],
            brand_id=request.brand_id,
            channel=request.channel,
            template_key=request.template_key,
            kind=request.kind,
            replayed=accepted.replayed,
        )
    replayed = "true" if accepted.replayed else "false"
    kind = "canary" if request.through else request.kind
    house.metrics.accepted.add(kind, request.channel, replayed)
    return accepted


async def _accept(house: House, caller: Caller, request: Request, part: Part, *, bulk: bool) -> Accepted:
    caller.act_for(request.brand_id)
    for _ in range(_TRIES):
        await house.setup.refresh()
        epoch = house.setup.epoch
        asked = await _read(house, request)
        try:
            row, sealing = await _check(house, caller, asked, part.link)
        except Refused as refused:
            known = await _known(house, asked)
            if known is None:
                raise refused from None
            return await _replay(house, asked, known)
        try:
            if await _submit(house, caller, asked, row, epoch, bulk=bulk):
                sealing.new = None  # the secret is written with it
                return Accepted(_fresh(asked, row), replayed=False)
        except rows.SetupMoved:
            house.setup.doubt()
            continue
        except BaseException:
            house.keys.forget(sealing)  # not written: the key that wraps it may end before it is
            raise
        known = await _known(house, asked)
        if known is not None:
            return await _replay(house, asked, known)
        house.keys.forget(sealing)
    raise Unavailable("Set-up is being changed right now; repeat the request.")


async def _submit(
    house: House, caller: Caller, asked: _Asked, row: rows.NewMessage, epoch: int, *, bulk: bool
) -> bool:
    """Is it new? One that replaces another is written by itself, together with the other's end."""
    if old_key := asked.request.options.supersedes:
        return await supersession.accept(house, caller, asked.brand, row, epoch, old_key)
    return await house.acceptor.submit(row, epoch, bulk=bulk)


async def _read(house: House, request: Request) -> _Asked:
    """The checks that need neither clock nor set-up beyond the brand: they refuse a known key too."""
    brand = await house.setup.require_brand(request.brand_id)
    if request.options.supersedes == request.dedup_key:
        raise invalid("options.supersedes must name another message than this one.")
    when = When(time.round_up(house.clock.now()))
    if request.scheduled_at is not None:
        when = time.read(request.scheduled_at)
    recipient = normalise(request.channel, request.recipient)
    key_hash = brand.cipher.digest("dedup_key", request.dedup_key)
    if request.options.proof is not None:
        request = replace(request, options=await proof.hidden(brand, request.options, key_hash))
    return _Asked(request, brand, when, recipient, key_hash, _fingerprint(brand, request, when, recipient))


async def _check(
    house: House, caller: Caller, asked: _Asked, trace: str | None
) -> tuple[rows.NewMessage, Sealing]:
    """The checks that depend on the clock or on set-up; the row that passes them, and its key."""
    request, brand = asked.request, asked.brand
    template = await house.setup.template(brand.brand_id, request.template_key, request.channel)
    version_id = await persons.version(house, brand, template, request.person_id) if template else None
    if template is None or version_id is None:
        raise Refused(
            422,
            "template_not_found",
            "The brand has no published template with this template_key and channel.",
        )
    now = house.clock.now()
    time.check_bounds(asked.when, now, template["max_late"], house.settings.schedule_horizon_days)
    hipaa = asked.is_hipaa
    version = await house.setup.version(version_id)
    reader = addresses.Reader(request.person_id, request.channel, template["category"])
    version.prove(addresses.filled(house, brand, version, reader, request.variables), hipaa=hipaa)
    proof.require(version, request.options)
    await house.setup.require_route(brand, request.channel, hipaa=hipaa, through=request.through)
    if request.channel == "push":
        await devices.require(house, brand, request.person_id, asked.recipient)
    if request.scheduled_at is None:
        await _require_permission(house, asked, template, now)
    sealing = await house.keys.sealing(brand, brand.person_hash(request.person_id))
    return _row(caller, asked, _kept(request, trace), template, version_id, now, sealing), sealing


async def _require_permission(house: House, asked: _Asked, template: asyncpg.Record, now: datetime) -> None:
    """Whatever is certain already; it is asked for again when a worker has it."""
    request, max_late = asked.request, timedelta(seconds=template["max_late"])
    whom = (request.person_id, request.channel, asked.recipient)
    about = permission.Asked(asked.brand, *whom, template["category"], request.options.send_if)
    message = permission.Message("", now, now + max_late, max_late, 1, asked.is_hipaa)
    await permission.require(house, about, message)


def _row(
    caller: Caller,
    asked: _Asked,
    kept: Options,
    template: asyncpg.Record,
    version_id: UUID,
    now: datetime,
    sealing: Sealing,
) -> rows.NewMessage:
    request = asked.request
    new_id = message_id(now, asked.key_hash, os.urandom(8))
    address = msgspec.json.encode([request.person_id, asked.recipient, request.dedup_key])
    created = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return rows.NewMessage(
        bucket=asked.bucket,
        id=new_id,
        brand_id=request.brand_id,
        kind=request.kind,
        key_hash=asked.key_hash,
        fingerprint=asked.fingerprint,
        channel=request.channel,
        template_key=request.template_key,
        template_id=template["template_id"],
        version_id=version_id,
        hipaa=asked.is_hipaa,
        person_hash=sealing.person.person_hash,
        recipient_hash=asked.brand.cipher.digest("recipient", asked.recipient),
        address=sealing.cipher.seal(Plain(address), new_id, "address"),
        variables=sealing.cipher.seal(Plain(msgspec.json.encode(request.variables)), new_id, "variables"),
        scheduled_at=asked.when.instant,
        zone=asked.when.zone,
        wall=asked.when.wall,
        deadline=asked.when.instant + timedelta(seconds=template["max_late"]),
        created_at=created,
        actor=caller.actor,
        request_id=caller.request_id,
        person_bucket=sealing.person.bucket,
        generation=sealing.cipher.generation,
        key_epoch=sealing.epoch,
        new_secret=sealing.new,
        options=_sealed_options(sealing.cipher, kept, new_id),
        subject_hash=_subject_hash(asked.brand, request.options),
    )


def _kept(request: Request, trace: str | None) -> Options:
    """What the caller asked for, with what we note ourselves; most messages have nothing of that."""
    if trace is None and request.through is None:
        return request.options
    return Kept(**msgspec.structs.asdict(request.options), trace=trace, through=request.through)


def _subject_hash(brand: Brand, options: Options) -> bytes | None:
    return brand.cipher.digest("subject", options.subject) if options.subject else None


def _sealed_options(cipher: PersonCipher, kept: Options, new_id: UUID) -> Sealed | None:
    """Most messages have none, and cost nothing."""
    if kept == _NO_OPTIONS:
        return None
    return cipher.seal(Plain(msgspec.json.encode(kept)), new_id, "options")


def _fingerprint(brand: Brand, request: Request, when: When, recipient: str) -> bytes:
    """A keyed hash a member of what was asked, after defaults: the same content has the same."""
    instant = "" if request.scheduled_at is None else f"{show(when.instant)}[{when.zone or ''}]"
    values = {
        "channel": request.channel.encode(),
        "template_key": request.template_key.encode(),
        "recipient": recipient.encode(),
        "person_id": request.person_id.encode(),
        "variables": msgspec.json.encode(_canonical(request.variables), order="sorted"),
        "hipaa": b"1" if request.hipaa else b"0",
        "scheduled_at": instant.encode(),
        "options": msgspec.json.encode(request.options, order="sorted"),
    }
    return b"".join(brand.cipher.digest(f"member/{name}", values[name])[:_MARK] for name in _MEMBERS)


def _canonical(value: Any) -> Any:
    """1.0 is 1 (RFC 8785, section 3.2.2.3): JSON has one kind of number, written as clients like."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _canonical(member) for name, member in value.items()}
    return [_canonical(item) for item in value] if isinstance(value, list) else value


async def _known(house: House, asked: _Asked) -> asyncpg.Record | None:
    """Who holds this key, asked in a statement of its own: the winner may be newer than the last one."""
    brand_id = asked.brand.brand_id
    return await rows.find_dedup(house.database.engine, asked.bucket, brand_id, asked.key_hash)


async def _replay(house: House, asked: _Asked, known: asyncpg.Record) -> Accepted:
    if asked.request.kind == "send":
        location = {"Location": f"/v1/messages/{known['message_id']}"}
        raise Refused(409, "dedup_key_used", "This dedup_key was used before; use a new one.", location)
    row = await rows.get(house.database.engine, asked.bucket, known["message_id"])
    if row is None:
        raise Unavailable
    if row["status"] == "cancelled":
        raise Refused(
            422,
            "dedup_key_cancelled",
            "The message with this dedup_key was cancelled; use a new key to book again.",
        )
    differing = _differing(known["fingerprint"], asked.fingerprint)
    if differing:
        raise Refused(
            422,
            "dedup_key_conflict",
            f"This dedup_key belongs to a message that differs in {', '.join(differing)}; use a new key.",
        )
    return Accepted(await show_message(house, row), replayed=True)


def _differing(first: bytes, second: bytes) -> list[str]:
    marks = range(0, len(_MEMBERS) * _MARK, _MARK)
    return [
        n for n, at in zip(_MEMBERS, marks, strict=True) if first[at : at + _MARK] != second[at : at + _MARK]
    ]


def _fresh(asked: _Asked, row: rows.NewMessage) -> dict[str, Any]:
    """A message that was accepted this moment, without reading it back."""
    request = asked.request
    return {
        "id": str(row.id),
        "brand_id": request.brand_id,
        "person_id": request.person_id,
        "channel": request.channel,
        "template_key": request.template_key,
        "recipient": asked.recipient,
        "dedup_key": request.dedup_key,
        "scheduled_at": show(row.scheduled_at),
        "status": "scheduled",
        "sent_at": None,
        "cancelled_at": None,
        "failure_reason": None,
        "created_at": show(row.created_at),
    }
