"""Messages that are there: shown, changed, cancelled, settled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from comms.actions import addresses, explanation, persons, proof
from comms.actions.house import House
from comms.actions.recipients import addressed
from comms.domain import schedule as time
from comms.domain.caller import Caller
from comms.domain.content import ERASED, Plain, Sealed
from comms.domain.errors import Refused, not_found
from comms.domain.ids import bucket_of, bucket_of_digest
from comms.domain.options import Options
from comms.domain.schedule import When, show
from comms.privacy.cipher import PersonCipher
from comms.store import caps
from comms.store import messages as rows


async def get(house: House, caller: Caller, wanted: UUID) -> tuple[asyncpg.Record, dict[str, str]]:
    """A message's row with its opened address: person_id, recipient, dedup_key."""
    async with house.database.brand(caller.brand_id) as connection:
        row = await rows.get(connection, bucket_of(wanted), wanted)
    if row is None:
        raise not_found("message")
    return row, await _address(house, row)


async def get_scheduled(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:
    """The thirteen members of a message."""
    return _show(*await get(house, caller, wanted))


async def find(house: House, caller: Caller, wanted: rows.Filter, limit: int) -> list[dict[str, Any]]:
    """The brand's newest messages that fit."""
    caller.act_for(wanted.brand_id)
    brand = await house.setup.require_brand(wanted.brand_id)
    async with house.database.brand(wanted.brand_id) as connection:
        found = await rows.find(connection, wanted, limit)
    keys = await house.keys.many(brand, [row["person_hash"] for row in found])
    return [_show(row, _opened(keys[row["person_hash"]], row)) for row in found]


async def digests(house: House, brand_id: str, **values: str | None) -> dict[str, bytes | None]:
    """Keyed hashes by which sealed members are found."""
    brand = await house.setup.require_brand(brand_id)
    return {kind: brand.cipher.digest(kind, value) if value else None for kind, value in values.items()}


async def find_by_key(house: House, caller: Caller, brand_id: str, dedup_key: str) -> UUID | None:
    """The message that holds this key."""
    caller.act_for(brand_id)
    key_hash = (await house.setup.require_brand(brand_id)).cipher.digest("dedup_key", dedup_key)
    async with house.database.brand(brand_id) as connection:
        row = await rows.find_dedup(connection, bucket_of_digest(key_hash), brand_id, key_hash)
    return row["message_id"] if row else None


async def cancel(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:
    """Cancelled: no provider has taken it, and none will. Twice is once."""
    bucket, now = bucket_of(wanted), house.clock.sql_now()
    async with house.database.brand(caller.brand_id) as connection:
        cancelled = await rows.cancel(connection, [wanted], now, caller.actor, caller.request_id)
        row = await rows.get(connection, bucket, wanted)
    if row is None:
        raise not_found("message")
    house.metrics.ended.add("cancelled", by=len(cancelled))
    if row["status"] != "cancelled":
        raise too_late(row["status"], "cancelled")
    return await show_message(house, row)


async def settle(house: House, caller: Caller, wanted: UUID, outcome: str) -> dict[str, Any]:
    """Say how an unknown message ended, or try it again."""
    bucket, now = bucket_of(wanted), house.clock.sql_now()
    async with house.database.brand(caller.brand_id) as connection:
        row = await rows.get(connection, bucket, wanted)
        if row is None:
            raise not_found("message")
        template = await house.setup.template_by_id(row["template_id"])
        max_late = timedelta(seconds=template["max_late"] if template else time.DEFAULT_MAX_LATE)
        by = (caller.actor, caller.request_id)
        settled = await rows.settle(connection, bucket, wanted, outcome, max_late, now, *by)
        if settled and outcome == "failed":  # nobody got it: it counts against no cap
            whose = (bucket_of_digest(row["person_hash"]), row["brand_id"], row["person_hash"])
            await caps.release(connection, [caps.Released(*whose, str(wanted))])
        row = await rows.get(connection, bucket, wanted)
        assert row is not None  # noqa: S101 - messages stay
    if not settled:
        raise Refused(
            409, "not_unknown", f"The message is {row['status']}; only an unknown one can be settled."
        )
    house.metrics.ended.add("settled")
    if outcome == "retry":
        house.acceptor.wake()
    return await show_message(house, row)


class Change(msgspec.Struct, frozen=True):
    """What a PATCH may change."""

    scheduled_at: str | None = None
    variables: dict[str, Any] | None = None
    current_version: bool = False


async def change(house: House, caller: Caller, wanted: UUID, asked: Change) -> dict[str, Any]:
    """Move a waiting message, or give it other variables; checked again as at acceptance."""
    if asked.current_version:
        house.setup.doubt()  # published a moment ago, perhaps in another process
    await house.setup.refresh()
    bucket = bucket_of(wanted)
    async with house.database.brand(caller.brand_id) as connection:
        waiting = await rows.lock_waiting(connection, bucket, wanted)
        row = await rows.get(connection, bucket, wanted)
        if row is None:
            raise not_found("message")
        if waiting is None:
            raise too_late(row["status"], "changed")
        begun = await rows.begun(connection, bucket, wanted)
        if begun["may_be_taken"]:
            raise too_late(row["status"], "changed")
        if begun["is_frozen"] and (asked.variables is not None or asked.current_version):
            raise Refused(
                409, "attempted", "The message was attempted already; only its time may still move."
            )
        await _apply(house, caller, connection, row, waiting["deadline"], asked)
        row = await rows.get(connection, bucket, wanted)
        assert row is not None  # noqa: S101 - it is locked
    house.acceptor.wake()
    return await show_message(house, row)


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
    """The last decision on this message, with its facts and in words."""
    bucket = bucket_of(wanted)
    async with house.database.brand(caller.brand_id) as connection:
        row = await rows.get(connection, bucket, wanted)
        if row is None:
            raise not_found("message")
        options = await rows.options(connection, bucket, wanted)
    return await explanation.explain(house, row, options)


async def _apply(
    house: House, caller: Caller, connection: Any, row: asyncpg.Record, deadline: datetime, asked: Change
) -> None:
    brand = await house.setup.require_brand(row["brand_id"])
    template = await house.setup.template_by_id(row["template_id"])
    if template is None:
        raise Refused(422, "template_not_found", "The message's template is not there any more.")
    when = When(row["scheduled_at"], row["zone"], row["wall"])
    if asked.scheduled_at is not None:
        when = time.read(asked.scheduled_at)
        time.check_bounds(when, house.clock.now(), template["max_late"], house.settings.schedule_horizon_days)
        deadline = when.instant + timedelta(seconds=template["max_late"])
    version_id, person_id = row["version_id"], (await _address(house, row))["person_id"]
    if asked.current_version:
        version_id = await persons.version(house, brand, template, person_id) or version_id
    variables, person = asked.variables, await house.keys.hold(connection, brand, row["person_hash"])
    if variables is None:
        variables = msgspec.json.decode(person.open(Sealed(row["variables"]), row["id"], "variables"))
    version = await house.setup.version(version_id)
    reader = addresses.Reader(person_id, row["channel"], template["category"])
    version.prove(addresses.filled(house, brand, version, reader, variables), hipaa=row["hipaa"])
    if version.page_lives is not None:
        proof.require(version, await _options(connection, person, row))
    await house.setup.require_route(brand, row["channel"], hipaa=row["hipaa"])
    sealed = person.seal(Plain(msgspec.json.encode(variables)), row["id"], "variables")
    changed = [name for name in ("scheduled_at", "variables") if getattr(asked, name) is not None]
    changed += ["template_version"] if asked.current_version else []
    await rows.reschedule(
        connection,
        rows.Rescheduled(
            bucket=row["bucket"],
            id=row["id"],
            due_at=when.instant,
            deadline=deadline,
            zone=when.zone,
            wall=when.wall,
            variables=sealed,
            version_id=version_id,
            now=house.clock.sql_now(),
            details={"changed": changed},
            actor=caller.actor,
            request_id=caller.request_id,
        ),
    )


def too_late(status: str, what: str) -> Refused:
    """409: why a message in this status can't be `what` any more."""
    if status == "sent":
        return Refused(409, "already_sent", f"The message was sent already and can't be {what}.")
    if status == "scheduled":  # and yet it can't be
        return Refused(
            409,
            "in_flight",
            "A provider may have taken the message already: it is asked again; so ask again.",
            {"Retry-After": "1"},
        )
    if status == "sending":
        return Refused(
            409,
            "in_flight",
            f"The message is being handed over and can't be {what} now; ask again.",
            {"Retry-After": "1"},
        )
    code = "not_changeable" if what == "changed" else "not_cancellable"
    return Refused(409, code, f"The message is {status} and can't be {what}.")


async def _options(connection: Any, person: PersonCipher, row: asyncpg.Record) -> Options:
    sealed = await rows.options(connection, row["bucket"], row["id"])
    return addressed(person, row["id"], Sealed(row["address"]), sealed).options


async def show_message(house: House, row: asyncpg.Record) -> dict[str, Any]:
    """The thirteen members of a message."""
    return _show(row, await _address(house, row))


async def _address(house: House, row: asyncpg.Record) -> dict[str, str]:
    brand = await house.setup.require_brand(row["brand_id"])
    return _opened(await house.keys.one(brand, row["person_hash"]), row)


def _opened(person: PersonCipher, row: asyncpg.Record) -> dict[str, str]:
    """person_id, recipient and dedup_key; of a person who was erased, that they were."""
    names, sealed = ("person_id", "recipient", "dedup_key"), Sealed(row["address"])
    if person.is_erased(sealed):
        return dict.fromkeys(names, ERASED)
    return dict(zip(names, msgspec.json.decode(person.open(sealed, row["id"], "address")), strict=True))


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
