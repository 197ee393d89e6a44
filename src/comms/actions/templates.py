"""Templates and their versions: proved when published, never changed afterwards."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from comms.actions import addresses
from comms.actions.house import House
from comms.domain.caller import ANY, Caller
from comms.domain.errors import Refused, not_found
from comms.domain.schedule import show
from comms.domain.segments import segments
from comms.render.versions import Source, publish
from comms.store import setup as rows


class NewTemplate(msgspec.Struct, frozen=True):
    """What a template is made of, before it has a version."""

    brand_id: str
    key: str
    channel: str
    description: str | None
    category: str
    max_late: int
    on_unknown: str


async def create(house: House, caller: Caller, new: NewTemplate) -> dict[str, Any]:
    """A template without a version yet; one may exist a (brand_id, key, channel)."""
    caller.act_for(new.brand_id)
    await house.setup.require_brand(new.brand_id)
    now = house.clock.now()
    async with house.database.owner.acquire() as connection, connection.transaction():
        values = (
            new.brand_id,
            new.key,
            new.channel,
            new.description,
            new.category,
            new.max_late,
            new.on_unknown,
        )
        row = await rows.write(connection, "add_template", uuid4(), *values, caller.actor, now)
        if row is None:
            raise Refused(
                409, "conflict", "A template with this key and channel exists; add a version to it."
            )
        by = (caller.actor, caller.request_id)
        await rows.note(
            connection, new.brand_id, now, "template_created", {"template_id": str(row["template_id"])}, by
        )
    house.setup.doubt()
    return show_template(row)


async def listed(
    house: House, caller: Caller, brand_id: str, limit: int = 50, before: UUID | None = None
) -> list[dict[str, Any]]:
    """The brand's templates, newest first."""
    caller.act_for(brand_id)
    await house.setup.require_brand(brand_id)
    found = await rows.many(house.database.owner, "templates", brand_id, before, limit)
    return [show_template(row) for row in found]


async def get(house: House, caller: Caller, template_id: UUID) -> dict[str, Any]:
    """The template with the published members."""
    return show_template(_visible(caller, await rows.one(house.database.owner, "template", template_id)))


async def add_version(
    house: House,
    caller: Caller,
    template_id: UUID,
    given: dict[str, Any],
    *,
    locale: str | None = None,
    draft: bool = False,
) -> dict[str, Any]:
    """A new version, proved; current for its locale at once unless it is a draft."""
    now = house.clock.now()
    async with house.database.owner.acquire() as connection, connection.transaction():
        template = _visible(caller, await rows.one(connection, "lock_template", template_id))
        source = msgspec.convert({"channel": template["channel"], **given}, Source)
        version = publish(source)
        version.check_reserved(addresses.unfillable(house, template["category"]))
        version.prove_fixed()
        kept, published = msgspec.to_builtins(source), None if draft else now
        values = (
            template_id,
            template["brand_id"],
            kept,
            version.variables,
            locale,
            published,
            caller.actor,
            now,
        )
        row = await rows.write(connection, "add_version", uuid4(), *values)
        assert row is not None  # noqa: S101 - an insert answers its row
        if not draft:
            await rows.write(connection, "set_current_version", template_id, row["version_id"], now)
        details = {"template_id": str(template_id), "version_number": row["version_number"], "draft": draft}
        by = (caller.actor, caller.request_id)
        await rows.note(connection, template["brand_id"], now, "version_added", details, by)
    house.setup.doubt()
    return show_version(row)


async def versions(house: House, caller: Caller, template_id: UUID) -> list[dict[str, Any]]:
    """The template's versions, newest first."""
    _visible(caller, await rows.one(house.database.owner, "template", template_id))
    return [show_version(row) for row in await rows.many(house.database.owner, "versions", template_id)]


async def render(
    house: House,
    caller: Caller,
    template_id: UUID,
    version_id: UUID | None,
    payload: dict[str, Any],
    *,
    strict: bool,
) -> dict[str, Any]:
    """A preview: what this payload would make of the template. Strict: what is missing refuses it."""
    template = _visible(caller, await rows.one(house.database.owner, "template", template_id))
    wanted = version_id or template["current_version_id"]
    row = await rows.one(house.database.owner, "version", wanted) if wanted else None
    if row is None or row["template_id"] != template_id:
        raise not_found("version")
    version = await house.setup.version(row["version_id"])
    if strict:
        version.check(payload)
    rendered, page = version.preview(payload)
    absent = version.missing(payload)
    shown = {"subject": rendered.subject, "body": rendered.body, "missing_variables": absent}
    details = _sms_details(rendered.body) if template["channel"] == "sms" else {}
    if page is not None:
        details["secure"] = {"title": page.title, "body": page.body}
    return {**shown, **({"details": details} if details else {})}


def show_template(row: asyncpg.Record) -> dict[str, Any]:
    """A template with the published members."""
    return {
        "id": str(row["template_id"]),
        "brand_id": row["brand_id"],
        "key": row["key"],
        "description": row["description"],
        "channel": row["channel"],
        "current_version_id": str(row["current_version_id"]) if row["current_version_id"] else None,
        "created_by": row["created_by"],
        "created_at": show(row["created_at"]),
        "updated_at": show(row["updated_at"]),
        "details": {name: row[name] for name in ("category", "max_late", "on_unknown")},
    }


def show_version(row: asyncpg.Record) -> dict[str, Any]:
    """A version with the published members."""
    return {
        "id": str(row["version_id"]),
        "template_id": str(row["template_id"]),
        "brand_id": row["brand_id"],
        "version_number": row["version_number"],
        "subject": row["source"].get("subject"),
        "body": row["source"]["body"],
        "variables": row["variables"],
        "created_by": row["created_by"],
        "created_at": show(row["created_at"]),
        "details": {"locale": row["locale"], "draft": row["published_at"] is None, **_secure(row["source"])},
    }


def _secure(source: dict[str, Any]) -> dict[str, Any]:
    return {"secure": source["secure"]} if source.get("secure") else {}


def _sms_details(body: str) -> dict[str, Any]:
    counted = segments(body)
    return {"segments": counted.count, "encoding": counted.encoding}


def _visible(caller: Caller, row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None or caller.brand_id not in (ANY, row["brand_id"]):
        raise not_found("template")
    return row
