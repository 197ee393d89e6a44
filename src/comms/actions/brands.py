"""Brands and providers: what is set up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from comms.actions.house import House
from comms.actions.setup import key_purpose, open_secrets
from comms.domain.brand import BrandSettings
from comms.domain.caller import ANY, Caller
from comms.domain.errors import Refused, invalid, not_found
from comms.domain.schedule import show
from comms.privacy.keyring import new_key
from comms.providers.catalogue import check
from comms.store import messages, workers
from comms.store import setup as rows
from comms.store.database import Connection

_LOOK_SECONDS = 0.01


async def put_brand(house: House, caller: Caller, brand_id: str, settings: BrandSettings) -> dict[str, Any]:
    """Make or change a brand; its keys are made with it."""
    caller.act_for(brand_id)
    if brand_id == ANY or not brand_id.isprintable():
        raise invalid("brand_id must be printable, and more than *, which stands for any brand.")
    now = house.clock.now()
    async with house.database.owner.acquire() as connection, connection.transaction():
        row = await rows.write(connection, "put_brand", brand_id, msgspec.to_builtins(settings), now)
        if row and row["is_new"]:
            for purpose in ("seal", "hash"):
                wrapped = house.setup.master.wrap(new_key(), key_purpose(brand_id, purpose, 1))
                await rows.write(connection, "add_brand_key", brand_id, purpose, 1, wrapped, now)
        by = (caller.actor, caller.request_id)
        await rows.note(connection, brand_id, now, "brand_put", {}, by)
    house.setup.doubt()
    assert row is not None  # noqa: S101 - an upsert answers its row
    return show_brand(brand_id, settings, row["held_at"])


async def hold(house: House, caller: Caller, brand_id: str) -> dict[str, Any]:
    """After the answer no provider call starts for this brand; calls already begun run to their end.

    Waits until each live worker acts by the new set-up, or its lease has run out.
    """
    settings, epoch = await _set_hold(house, caller, brand_id, "hold_brand", "brand_held")
    house.acceptor.wake()
    while await workers.behind(house.database.engine, epoch):  # noqa: ASYNC110 - it is for other processes to say
        await asyncio.sleep(_LOOK_SECONDS)
    return settings


async def release(house: House, caller: Caller, brand_id: str, *, send_late: bool) -> dict[str, Any]:
    """What waited goes out; what is too late by now does as well (`send_late`), or expires."""

    async def excuse(connection: Connection) -> None:
        if send_late:
            await messages.excuse_lateness(connection, brand_id, house.clock.sql_now())

    settings, _ = await _set_hold(house, caller, brand_id, "release_brand", "brand_released", excuse)
    house.acceptor.wake()
    return settings


async def _set_hold(
    house: House,
    caller: Caller,
    brand_id: str,
    statement: str,
    event: str,
    before: Callable[[Connection], Awaitable[None]] | None = None,
) -> tuple[dict[str, Any], int]:
    """Hold or release; the brand as it is then, and the epoch by which everybody must act."""
    await get_brand(house, caller, brand_id)
    now, by = house.clock.now(), (caller.actor, caller.request_id)
    values = (brand_id, now) if statement == "hold_brand" else (brand_id,)
    async with house.database.owner.acquire() as connection, connection.transaction():
        if before:
            await before(connection)
        row = await rows.write(connection, statement, *values)
        await rows.note(connection, brand_id, now, event, {}, by)
        epoch, _ = await rows.epoch(connection)
    house.setup.doubt()
    assert row is not None  # noqa: S101 - it was shown a moment ago, and brands stay
    settings = msgspec.convert(row["settings"], BrandSettings)
    return show_brand(brand_id, settings, row["held_at"]), epoch


async def get_brand(house: House, caller: Caller, brand_id: str) -> dict[str, Any]:
    """The brand as it is set up."""
    if caller.brand_id not in (ANY, brand_id):
        raise not_found("brand")
    brand = await house.setup.brand(brand_id)
    if brand is None:
        raise not_found("brand")
    return show_brand(brand_id, brand.settings, brand.held_at)


async def listed(house: House, caller: Caller) -> list[dict[str, Any]]:
    """The brands that the caller may act for, by name."""
    found = await rows.many(house.database.owner, "brands", caller.brand_id)
    return [
        show_brand(row["brand_id"], msgspec.convert(row["settings"], BrandSettings), row["held_at"])
        for row in found
    ]


def show_brand(brand_id: str, settings: BrandSettings, held_at: datetime | None) -> dict[str, Any]:
    """A brand as callers see it: what was not set is not there."""
    members = {**msgspec.to_builtins(settings), "held_at": show(held_at) if held_at else None}
    return {"brand_id": brand_id, **{name: value for name, value in members.items() if value is not None}}


async def put_provider(
    house: House,
    caller: Caller,
    provider_id: str,
    kind: str,
    settings: dict[str, Any],
    secrets: dict[str, str | None],
    *,
    baa: bool,
    limits: dict[str, Any],
    brands: list[str] | None,
) -> dict[str, Any]:
    """Make or change a provider. A secret that is not named stays; null removes it."""
    if caller.brand_id != ANY:
        raise Refused(403, "forbidden", "Providers are written with a token for any brand (*).")
    check(kind, settings, set(secrets))
    now = house.clock.now()
    async with house.database.owner.acquire() as connection, connection.transaction():
        before = await rows.one(connection, "provider", provider_id)
        same = (
            before if before and before["kind"] == kind else None
        )  # another kind's secrets are none of this one's
        kept = open_secrets(house.setup.master, provider_id, same["secrets"] if same else None)
        held = {name: value for name, value in {**kept, **secrets}.items() if value is not None}
        wrapped = (
            house.setup.master.wrap(msgspec.json.encode(held), f"provider/{provider_id}") if held else None
        )
        row = await rows.write(
            connection,
            "put_provider",
            provider_id,
            kind,
            settings,
            wrapped,
            sorted(held),
            baa,
            limits,
            brands,
            now,
        )
        await rows.note(
            connection,
            ANY,
            now,
            "provider_put",
            {"provider_id": provider_id},
            (caller.actor, caller.request_id),
        )
    house.setup.doubt()
    assert row is not None  # noqa: S101 - an upsert answers its row
    return show_provider(row)


async def get_provider(house: House, caller: Caller, provider_id: str) -> dict[str, Any]:
    """The provider without its secrets."""
    row = await rows.one(house.database.owner, "provider", provider_id)
    if row is None or (
        caller.brand_id != ANY and caller.brand_id not in (row["brands"] or [caller.brand_id])
    ):
        raise not_found("provider")
    return show_provider(row)


async def list_providers(house: House, caller: Caller) -> list[dict[str, Any]]:
    """The providers that the caller may route to, by name, without their secrets."""
    return [show_provider(row) for row in await rows.many(house.database.owner, "providers", caller.brand_id)]


def show_provider(row: asyncpg.Record) -> dict[str, Any]:
    """A provider as callers see it: the names of its secrets, never what they say."""
    shown = {name: row[name] for name in ("provider_id", "kind", "settings", "baa", "limits", "brands")}
    return {**shown, "secrets": dict.fromkeys(row["secret_names"], "set")}
