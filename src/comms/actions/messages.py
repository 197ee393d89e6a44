"""Messages: asked for, shown, changed, cancelled.

`schedule` and `send` differ only in when, and in what a used key means to them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain import schedule as time
from comms.domain.caller import Caller
from comms.domain.content import Plain, Sealed
from comms.domain.errors import Refused, Unavailable, not_found
from comms.domain.ids import bucket_of, bucket_of_digest, message_id
from comms.domain.recipient import normalise
from comms.domain.schedule import When, show
from comms.store import messages as rows

_TRIES = 5
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


async def schedule(house: House, caller: Caller, request: Request) -> Accepted:
    """Accept a message, once: the same key again answers the first message."""
    caller.act_for(request.brand_id)
    for _ in range(_TRIES):
        await house.setup.refresh()
        epoch = house.setup.epoch
        asked = await _read(house, request)
        try:
            row = await _check(house, caller, asked)
        except Refused as refused:
            known = await _known(house, asked)
            if known is None:
                raise refused from None
            return await _replay(house, asked, known)
        try:
            if await house.acceptor.submit(row, epoch):
                return Accepted(_fresh(asked, row), replayed=False)
        except rows.SetupMoved:
            house.setup.doubt()
            continue
        known = await _known(house, asked)
        if known is not None:
            return await _replay(house, asked, known)
    raise Unavailable("Set-up is being changed right now; repeat the request.")


async def get(house: House, caller: Caller, wanted: UUID) -> tuple[asyncpg.Record, dict[str, str]]:
    """A message's row with its opened address: person_id, recipient, dedup_key."""
    async with house.database.brand(caller.brand_id) as connection:
        row = await rows.get(connection, bucket_of(wanted), wanted)
    if row is None:
        raise not_found("message")
    return row, await _address(house, row)


async def get_scheduled(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:
    """The seed's thirteen members."""
    return _show(*await get(house, caller, wanted))


async def find(house: House, caller: Caller, wanted: rows.Filter, limit: int) -> list[dict[str, Any]]:
    """The brand's newest messages that fit."""
    caller.act_for(wanted.brand_id)
    async with house.database.brand(wanted.brand_id) as connection:
        found = await rows.find(connection, wanted, limit)
    return [_show(row, await _address(house, row)) for row in found]


async def digests(house: House, brand_id: str, **values: str | None) -> dict[str, bytes | None]:
    """Keyed hashes by which sealed members are found."""
    brand = await _brand(house, brand_id)
    return {kind: brand.cipher.digest(kind, value) if value else None for kind, value in values.items()}


async def find_by_key(house: House, caller: Caller, brand_id: str, dedup_key: str) -> UUID | None:
    """The message that holds this key."""
    caller.act_for(brand_id)
    key_hash = (await _brand(house, brand_id)).cipher.digest("dedup_key", dedup_key)
    async with house.database.brand(brand_id) as connection:
        row = await rows.find_dedup(connection, bucket_of_digest(key_hash), brand_id, key_hash)
    return row["message_id"] if row else None


async def cancel(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:
    """Cancelled: no provider has taken it, and none will. Twice is once."""
    bucket, now = bucket_of(wanted), house.clock.sql_now()
    async with house.database.brand(caller.brand_id) as connection:
        await rows.cancel(connection, bucket, wanted, now, caller.actor, caller.request_id)
        row = await rows.get(connection, bucket, wanted)
    if row is None:
        raise not_found("message")
    if row["status"] != "cancelled":
        raise _too_late(row["status"], "cancelled")
    return _show(row, await _address(house, row))


async def settle(house: House, caller: Caller, wanted: UUID, outcome: str) -> dict[str, Any]:
    """Say how an unknown message ended, or try it again."""
    bucket, now = bucket_of(wanted), house.clock.sql_now()
    async with house.database.brand(caller.brand_id) as connection:
        settled = await rows.settle(connection, bucket, wanted, outcome, now, caller.actor, caller.request_id)
        row = await rows.get(connection, bucket, wanted)
    if row is None:
        raise not_found("message")
    if not settled:
        raise Refused(
            409, "not_unknown", f"The message is {row['status']}; only an unknown one can be settled."
        )
    if outcome == "retry":
        house.acceptor.wake()
    return _show(row, await _address(house, row))


class Change(msgspec.Struct, frozen=True):
    """What a PATCH may change."""

    scheduled_at: str | None = None
    variables: dict[str, Any] | None = None
    current_version: bool = False


async def change(house: House, caller: Caller, wanted: UUID, asked: Change) -> dict[str, Any]:
    """Move a waiting message, or give it other variables; checked again as at acceptance."""
    await house.setup.refresh()
    bucket = bucket_of(wanted)
    async with house.database.brand(caller.brand_id) as connection:
        waiting = await rows.lock_waiting(connection, bucket, wanted)
        row = await rows.get(connection, bucket, wanted)
        if row is None:
            raise not_found("message")
        if waiting is None:
            raise _too_late(row["status"], "changed")
        if waiting["attempt"] and (asked.variables is not None or asked.current_version):
            raise Refused(
                409, "attempted", "The message was attempted already; only its time may still move."
            )
        await _apply(house, caller, connection, row, waiting["deadline"], asked)
        row = await rows.get(connection, bucket, wanted)
        assert row is not None  # noqa: S101 - it is locked
    house.acceptor.wake()
    return _show(row, await _address(house, row))


async def timeline(house: House, caller: Caller, wanted: UUID) -> list[dict[str, Any]]:
    """What happened, in order."""
    bucket = bucket_of(wanted)
    async with house.database.brand(caller.brand_id) as connection:
        if await rows.get(connection, bucket, wanted) is None:
            raise not_found("message")
        entries = await rows.timeline(connection, bucket, wanted)
    return [
        {
            "at": show(entry["at"]),
            "event": entry["event"],
            **({"details": entry["details"]} if entry["details"] else {}),
        }
        for entry in entries
    ]


async def explain(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:
    """The last decision on this message, with its facts."""
    row, _ = await get(house, caller, wanted)
    if row["decision"] is None:
        raise Refused(404, "not_decided", "Nothing was decided yet: the message waits for its time.")
    return dict(row["decision"])


async def _apply(
    house: House, caller: Caller, connection: Any, row: asyncpg.Record, deadline: datetime, asked: Change
) -> None:
    brand = await _brand(house, row["brand_id"])
    template = await house.setup.template_by_id(row["template_id"])
    if template is None:
        raise Refused(422, "template_not_found", "The message's template is not there any more.")
    when = When(row["scheduled_at"], row["zone"], row["wall"])
    if asked.scheduled_at is not None:
        when = time.read(asked.scheduled_at)
        time.check_bounds(when, house.clock.now(), template["max_late"], house.settings.schedule_horizon_days)
        deadline = when.instant + timedelta(seconds=template["max_late"])
    version_id = template["current_version_id"] if asked.current_version else row["version_id"]
    variables = asked.variables
    if variables is None:
        variables = msgspec.json.decode(brand.cipher.open(Sealed(row["variables"]), row["id"], "variables"))
    await _prove(house, version_id, variables, hipaa=row["hipaa"])
    sealed = brand.cipher.seal(Plain(msgspec.json.encode(variables)), row["id"], "variables")
    changed = [name for name in ("scheduled_at", "variables") if getattr(asked, name) is not None]
    changed += ["template_version"] if asked.current_version else []
    by = (caller.actor, caller.request_id)
    values = (when.instant, deadline, when.zone, when.wall, sealed, version_id, house.clock.sql_now())
    await rows.reschedule(connection, row["bucket"], row["id"], *values, {"changed": changed}, *by)


async def _read(house: House, request: Request) -> _Asked:
    """The checks that need neither clock nor set-up beyond the brand: they refuse a known key too."""
    brand = await _brand(house, request.brand_id)
    when = When(time.round_up(house.clock.now()))
    if request.scheduled_at is not None:
        when = time.read(request.scheduled_at)
    recipient = normalise(request.channel, request.recipient)
    key_hash = brand.cipher.digest("dedup_key", request.dedup_key)
    return _Asked(request, brand, when, recipient, key_hash, _fingerprint(brand, request, when, recipient))


async def _check(house: House, caller: Caller, asked: _Asked) -> rows.NewMessage:
    """The checks that depend on the clock or on set-up, and the row that passes them."""
    request, brand = asked.request, asked.brand
    template = await house.setup.template(brand.brand_id, request.template_key, request.channel)
    if template is None or template["current_version_id"] is None:
        raise Refused(
            422,
            "template_not_found",
            "The brand has no published template with this template_key and channel.",
        )
    now = house.clock.now()
    time.check_bounds(asked.when, now, template["max_late"], house.settings.schedule_horizon_days)
    await _prove(house, template["current_version_id"], request.variables, hipaa=request.hipaa)
    if not await house.setup.route(brand, request.channel, hipaa=request.hipaa):
        need = " that may carry PHI" if request.hipaa else ""
        raise Refused(
            422, "no_route", f"The brand's route for this channel has no provider{need}; set one up."
        )
    return _row(caller, asked, template, now)


async def _prove(house: House, version_id: UUID, variables: dict[str, Any], *, hipaa: bool) -> None:
    """An accepted message renders: so it is rendered once, now."""
    version = await house.setup.version(version_id)
    if hipaa:
        version.check_surfaces(undeclared_is_phi=True)
    version.check(variables)
    version.render(variables)


def _row(caller: Caller, asked: _Asked, template: asyncpg.Record, now: datetime) -> rows.NewMessage:
    request, cipher = asked.request, asked.brand.cipher
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
        version_id=template["current_version_id"],
        hipaa=request.hipaa,
        person_hash=cipher.digest("person_id", request.person_id),
        recipient_hash=cipher.digest("recipient", asked.recipient),
        address=cipher.seal(Plain(address), new_id, "address"),
        variables=cipher.seal(Plain(msgspec.json.encode(request.variables)), new_id, "variables"),
        scheduled_at=asked.when.instant,
        zone=asked.when.zone,
        wall=asked.when.wall,
        deadline=asked.when.instant + timedelta(seconds=template["max_late"]),
        created_at=created,
        actor=caller.actor,
        request_id=caller.request_id,
    )


def _fingerprint(brand: Brand, request: Request, when: When, recipient: str) -> bytes:
    """A keyed hash a member of what was asked, after defaults: the same content has the same."""
    instant = "" if request.scheduled_at is None else f"{show(when.instant)}[{when.zone or ''}]"
    values = {
        "channel": request.channel.encode(),
        "template_key": request.template_key.encode(),
        "recipient": recipient.encode(),
        "person_id": request.person_id.encode(),
        "variables": msgspec.json.encode(request.variables, order="sorted"),
        "hipaa": b"1" if request.hipaa else b"0",
        "scheduled_at": instant.encode(),
        "options": b"{}",
    }
    return b"".join(brand.cipher.digest(f"member/{name}", values[name])[:_MARK] for name in _MEMBERS)


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
    return Accepted(_show(row, await _address(house, row)), replayed=True)


def _differing(first: bytes, second: bytes) -> list[str]:
    marks = range(0, len(_MEMBERS) * _MARK, _MARK)
    return [
        n for n, at in zip(_MEMBERS, marks, strict=True) if first[at : at + _MARK] != second[at : at + _MARK]
    ]


def _too_late(status: str, what: str) -> Refused:
    if status == "sent":
        return Refused(409, "already_sent", f"The message was sent already and can't be {what}.")
    if status == "sending":
        return Refused(
            409,
            "in_flight",
            f"The message is being handed over and can't be {what} now; ask again.",
            {"Retry-After": "1"},
        )
    code = "not_cancellable" if what == "cancelled" else "not_changeable"
    return Refused(409, code, f"The message is {status} and can't be {what}.")


async def _brand(house: House, brand_id: str) -> Brand:
    brand = await house.setup.brand(brand_id)
    if brand is None:
        raise Refused(422, "unknown_brand", "There is no brand with this brand_id; make it first.")
    return brand


async def _address(house: House, row: asyncpg.Record) -> dict[str, str]:
    brand = await _brand(house, row["brand_id"])
    opened = msgspec.json.decode(brand.cipher.open(Sealed(row["address"]), row["id"], "address"))
    return dict(zip(("person_id", "recipient", "dedup_key"), opened, strict=True))


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


def _show(row: asyncpg.Record, address: dict[str, str]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "brand_id": row["brand_id"],
        "person_id": address["person_id"],
        "channel": row["channel"],
        "template_key": row["template_key"],
        "recipient": address["recipient"],
        "dedup_key": address["dedup_key"],
        "scheduled_at": show(row["scheduled_at"]),
        "status": row["status"],
        "sent_at": show(row["sent_at"]) if row["sent_at"] else None,
        "cancelled_at": show(row["cancelled_at"]) if row["cancelled_at"] else None,
        "failure_reason": row["failure_reason"],
        "created_at": show(row["created_at"]),
    }
