"""Canaries over HTTP, and the published ping."""

from __future__ import annotations

from comms.actions import canaries
from comms.domain.decision import CODES as NOT_PERMITTED
from comms.http.codes import BRANDS, INVALID, NOBODY, NOT_FOUND, UNACCEPTABLE
from comms.http.messages import patience
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.canaries import Canary, Pinged, PutCanary
from comms.http.shapes.common import Removed

_BAD_NAME = {422: ("validation_error", "no_canary")}


async def put_canary(call: Call) -> Answer:
    """Watch a provider."""
    body: PutCanary = call.body
    watch = canaries.Watch(body.brand_id, body.channel, body.template_key, body.recipient, body.every_seconds)
    return Answer(await canaries.put(call.house, call.caller, _provider(call), watch))


async def get_canary(call: Call) -> Answer:
    """How it is doing."""
    return Answer(await canaries.get(call.house, call.caller, _provider(call)))


async def remove_canary(call: Call) -> Answer:
    """No more of them."""
    return Answer({"removed": await canaries.remove(call.house, call.caller, _provider(call))})


async def ping_provider(call: Call) -> Answer:
    """Send one now."""
    waits = patience(call.request.headers.get("Prefer", ""))
    return Answer(await canaries.ping(call.house, call.caller, _provider(call), waits))


async def ping_texts(call: Call) -> Answer:
    """Send one now through each provider of texts."""
    waits = patience(call.request.headers.get("Prefer", ""))
    return Answer(await canaries.ping_texts(call.house, call.caller, waits))


def _provider(call: Call) -> str:
    provider_id: str = call.request.path_params["provider_id"]
    return provider_id


_UNFIT = (*UNACCEPTABLE, *NOBODY, *NOT_PERMITTED)

ROUTES = [
    Route(
        "PUT",
        "/v1/providers/{provider_id}/canary",
        BRANDS,
        put_canary,
        "Watch a provider",
        {200: Canary},
        {**NOT_FOUND, 422: (*INVALID, "unknown_brand", "invalid_recipient", "no_route")},
        body=PutCanary,
        tag="running",
    ),
    Route(
        "GET",
        "/v1/providers/{provider_id}/canary",
        BRANDS,
        get_canary,
        "How a provider's canary is doing",
        {200: Canary},
        {**NOT_FOUND, **_BAD_NAME},
        tag="running",
    ),
    Route(
        "DELETE",
        "/v1/providers/{provider_id}/canary",
        BRANDS,
        remove_canary,
        "Watch a provider no more",
        {200: Removed},
        {422: ("validation_error",)},
        tag="running",
    ),
    Route(
        "POST",
        "/v1/providers/{provider_id}/ping",
        BRANDS,
        ping_provider,
        "Send a provider's canary now",
        {200: Pinged},
        {**NOT_FOUND, 409: ("in_flight",), 422: (*_BAD_NAME[422], *_UNFIT)},
        headers=("Prefer",),
        tag="running",
    ),
    Route(
        "POST",
        "/v1/admin/sla/sms-ping",
        "admin:comms",
        ping_texts,
        "Send the canaries of all providers of texts now",
        {200: Pinged},
        {409: ("in_flight",), 422: ("no_canary", *_UNFIT)},
        headers=("Prefer",),
        tag="running",
    ),
]
"""Before those of the providers: a provider's name may hold a slash."""
