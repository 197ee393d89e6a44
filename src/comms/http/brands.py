"""Brands and providers: set up over HTTP."""

from __future__ import annotations

import msgspec

from comms.actions import brands
from comms.domain.brand import BrandSettings
from comms.http.codes import BRANDS, INVALID, NOT_FOUND
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.brands import Brand, Provider, PutProvider, Release


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


ROUTES = [
    Route(
        "POST",
        "/v1/brands/{brand_id}/hold",
        BRANDS,
        hold_brand,
        "Hold a brand",
        {200: Brand},
        {**NOT_FOUND, 422: ("validation_error",)},
        tag="set-up",
    ),
    Route(
        "POST",
        "/v1/brands/{brand_id}/release",
        BRANDS,
        release_brand,
        "Release a brand",
        {200: Brand},
        {**NOT_FOUND, 422: INVALID},
        body=Release,
        tag="set-up",
    ),
    Route(
        "PUT",
        "/v1/brands/{brand_id}",
        BRANDS,
        put_brand,
        "Set up a brand",
        {200: Brand},
        {422: INVALID},
        body=BrandSettings,
        tag="set-up",
    ),
    Route(
        "GET",
        "/v1/brands/{brand_id}",
        BRANDS,
        get_brand,
        "Show a brand",
        {200: Brand},
        {**NOT_FOUND, 422: ("validation_error",)},
        tag="set-up",
    ),
    Route(
        "PUT",
        "/v1/providers/{provider_id}",
        BRANDS,
        put_provider,
        "Set up a provider",
        {200: Provider},
        {422: (*INVALID, "unknown_kind", "invalid_settings")},
        body=PutProvider,
        tag="set-up",
    ),
    Route(
        "GET",
        "/v1/providers/{provider_id}",
        BRANDS,
        get_provider,
        "Show a provider",
        {200: Provider},
        {**NOT_FOUND, 422: ("validation_error",)},
        tag="set-up",
    ),
]
