"""Templates and their versions."""

from __future__ import annotations

from uuid import UUID

import msgspec

from comms.actions import templates
from comms.domain.errors import not_found
from comms.http.codes import INVALID, NOT_FOUND, TEMPLATES
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import BrandQuery
from comms.http.shapes.templates import (
    CreateTemplate,
    CreateVersion,
    Render,
    RenderedPreview,
    Template,
    TemplateList,
    Version,
    VersionList,
)


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
    given = msgspec.to_builtins(body)
    for name in ("locale", "draft"):
        given.pop(name, None)
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


ROUTES = [
    Route(
        "POST",
        "/v1/messaging/templates",
        TEMPLATES,
        create_template,
        "Make a template",
        {201: Template},
        {409: ("conflict",), 422: (*INVALID, "unknown_brand")},
        body=CreateTemplate,
        tag="templates",
    ),
    Route(
        "GET",
        "/v1/messaging/templates",
        TEMPLATES,
        list_templates,
        "List templates",
        {200: TemplateList},
        {422: (*INVALID, "unknown_brand")},
        query=BrandQuery,
        tag="templates",
    ),
    Route(
        "POST",
        "/v1/messaging/templates/{id}/versions",
        TEMPLATES,
        create_version,
        "Publish a version",
        {201: Version},
        {**NOT_FOUND, 422: (*INVALID, "invalid_template", "phi_on_open_surface")},
        body=CreateVersion,
        tag="templates",
    ),
    Route(
        "GET",
        "/v1/messaging/templates/{id}/versions",
        TEMPLATES,
        list_versions,
        "List versions",
        {200: VersionList},
        NOT_FOUND,
        tag="templates",
    ),
    Route(
        "POST",
        "/v1/messaging/templates/{id}/render",
        TEMPLATES,
        render_template,
        "Preview a version",
        {200: RenderedPreview},
        {**NOT_FOUND, 422: (*INVALID, "missing_variables", "does_not_render")},
        body=Render,
        tag="templates",
    ),
]
