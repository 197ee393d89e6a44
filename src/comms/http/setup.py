"""Brands, providers, templates: set up over HTTP."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec

from comms.actions import brands, templates, tokens
from comms.domain.brand import BrandSettings
from comms.domain.errors import not_found
from comms.domain.schedule import show
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call
from comms.http.shapes import CreateTemplate, CreateVersion, PersonToken, PutProvider, Render


async def put_brand(call: Call) -> Answer:
    """Make or change a brand."""
    settings: BrandSettings = call.body
    return Answer(
        await brands.put_brand(call.house, call.caller, call.request.path_params["brand_id"], settings)
    )


async def get_brand(call: Call) -> Answer:
    """The brand as it is set up."""
    return Answer(await brands.get_brand(call.house, call.caller, call.request.path_params["brand_id"]))


async def hold_brand(call: Call) -> Answer:
    """No provider call starts for it any more."""
    return Answer(await brands.hold(call.house, call.caller, call.request.path_params["brand_id"]))


async def release_brand(call: Call) -> Answer:
    """What waited goes out."""
    brand_id, send_late = call.request.path_params["brand_id"], call.body.late == "send"
    return Answer(await brands.release(call.house, call.caller, brand_id, send_late=send_late))


async def put_provider(call: Call) -> Answer:
    """Make or change a provider."""
    body: PutProvider = call.body
    return Answer(
        await brands.put_provider(
            call.house,
            call.caller,
            call.request.path_params["provider_id"],
            body.kind,
            body.settings,
            body.secrets,
            baa=body.baa,
            limits=msgspec.to_builtins(body.limits),
            brands=body.brands,
        )
    )


async def get_provider(call: Call) -> Answer:
    """The provider without its secrets."""
    return Answer(await brands.get_provider(call.house, call.caller, call.request.path_params["provider_id"]))


async def create_person_token(call: Call) -> Answer:
    """A token for one person's own inbox and preferences."""
    body: PersonToken = call.body
    call.caller.act_for(body.brand_id)
    lifetime = timedelta(seconds=body.expires_in)
    token = await tokens.create(call.house, call.caller, body.brand_id, [], None, lifetime, body.person_id)
    return Answer({"token": token, "expires_at": show(call.house.clock.now() + lifetime)}, 201)


async def create_template(call: Call) -> Answer:
    """A template, before it has a version."""
    body: CreateTemplate = call.body
    new = msgspec.convert(msgspec.structs.asdict(body), templates.NewTemplate)
    return Answer(await templates.create(call.house, call.caller, new), 201)


async def list_templates(call: Call) -> Answer:
    """The brand's templates."""
    wanted = call.query
    before = cursor(wanted.cursor)
    found = await templates.listed(call.house, call.caller, wanted.brand_id, wanted.limit, before)
    return Answer(page("items", found, wanted.limit))


async def create_version(call: Call) -> Answer:
    """Prove a version and publish it."""
    body: CreateVersion = call.body
    given = msgspec.structs.asdict(body)
    for name in ("locale", "draft"):
        del given[name]
    wanted = call.path_id("template")
    made = await templates.add_version(
        call.house, call.caller, wanted, given, locale=body.locale, draft=body.draft
    )
    return Answer(made, 201)


async def list_versions(call: Call) -> Answer:
    """The template's versions."""
    return Answer({"items": await templates.versions(call.house, call.caller, call.path_id("template"))})


async def render_template(call: Call) -> Answer:
    """A preview."""
    body: Render = call.body
    try:
        version_id = UUID(body.version_id) if body.version_id else None
    except ValueError:
        raise not_found("version") from None
    return Answer(
        await templates.render(
            call.house, call.caller, call.path_id("template"), version_id, body.payload, strict=body.strict
        )
    )
