"""Brands, providers and templates as they are set up."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from comms.actions import brands, templates
from comms.console.visit import Visit, back_to
from comms.domain.errors import Refused

BRANDS, TEMPLATES = "manage:brands", "manage:templates"
_PAGE = 50


async def brand_list(visit: Visit) -> Response:
    """All brands that the token may act for."""
    visit.need(BRANDS)
    return await visit.show("brands.html", brands=await brands.listed(visit.house, visit.caller))


async def brand(visit: Visit) -> Response:
    """A brand's settings, and whether it is on hold."""
    visit.need(BRANDS)
    shown = await brands.get_brand(visit.house, visit.caller, visit.path("brand_id"))
    return await visit.show("brand.html", brand=shown)


async def hold(visit: Visit) -> Response:
    """No provider call starts for it any more."""
    visit.need(BRANDS)
    await brands.hold(visit.house, visit.caller, visit.path("brand_id"))
    return _back_to_brand(visit)


async def release(visit: Visit) -> Response:
    """What waited goes out."""
    visit.need(BRANDS)
    late = visit.asked.get("late") == "send"
    await brands.release(visit.house, visit.caller, visit.path("brand_id"), send_late=late)
    return _back_to_brand(visit)


async def provider_list(visit: Visit) -> Response:
    """All providers that the token may route to, without their secrets."""
    visit.need(BRANDS)
    found = await brands.list_providers(visit.house, visit.caller)
    return await visit.show("providers.html", providers=found)


async def template_list(visit: Visit) -> Response:
    """The brand's templates."""
    visit.need(TEMPLATES)
    brand_id = await visit.brand_id()
    if brand_id is None:
        return await visit.show("templates.html", templates=[], next_cursor=None)
    found = await templates.listed(visit.house, visit.caller, brand_id, _PAGE, visit.cursor())
    more = found[-1]["id"] if len(found) == _PAGE else None
    return await visit.show("templates.html", templates=found, next_cursor=more)


async def template(visit: Visit) -> Response:
    """Its versions, and what variables would make of the current one."""
    visit.need(TEMPLATES)
    wanted = visit.path_id("template")
    versions = await templates.versions(visit.house, visit.caller, wanted)
    preview, problem, payload = None, None, visit.asked.get("payload", "{}")
    if visit.request.method == "POST":
        try:
            given = msgspec.json.decode(payload, type=dict)
            preview = await templates.render(visit.house, visit.caller, wanted, None, given, strict=False)
        except (msgspec.DecodeError, msgspec.ValidationError):
            problem = "The variables must be a JSON object."
        except Refused as refused:
            problem = refused.message
    return await visit.show(
        "template.html",
        422 if problem else 200,
        template=await templates.get(visit.house, visit.caller, wanted),
        versions=versions,
        preview=preview,
        payload=payload,
        problem=problem,
    )


def _back_to_brand(visit: Visit) -> Response:
    return back_to(f"/console/brands/{quote(visit.path('brand_id'), safe='')}")
