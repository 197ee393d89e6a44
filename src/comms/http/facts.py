"""Facts that callers keep, and that messages are sent for."""

from __future__ import annotations

from comms.actions import facts
from comms.http.codes import INVALID, NOT_FOUND, READ, WRITE
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import OneBrand, Removed
from comms.http.shapes.facts import Fact, PutFact


async def put_fact(call: Call) -> Answer:
    """Say what is so."""
    body: PutFact = call.body
    name = call.request.path_params["name"]
    return Answer(await facts.put(call.house, call.caller, body.brand_id, name, body.value))


async def get_fact(call: Call) -> Answer:
    """What was said last."""
    name = call.request.path_params["name"]
    return Answer(await facts.get(call.house, call.caller, call.query.brand_id, name))


async def remove_fact(call: Call) -> Answer:
    """Say nothing of it any more."""
    name = call.request.path_params["name"]
    await facts.remove(call.house, call.caller, call.query.brand_id, name)
    return Answer({"removed": 1})


ROUTES = [
    Route(
        "PUT",
        "/v1/facts/{name}",
        WRITE,
        put_fact,
        "Say what is so",
        {200: Fact},
        {422: (*INVALID, "unknown_brand")},
        body=PutFact,
    ),
    Route(
        "GET",
        "/v1/facts/{name}",
        READ,
        get_fact,
        "What was said to be so",
        {200: Fact},
        {**NOT_FOUND, 422: (*INVALID, "unknown_brand")},
        query=OneBrand,
    ),
    Route(
        "DELETE",
        "/v1/facts/{name}",
        WRITE,
        remove_fact,
        "Say nothing of it any more",
        {200: Removed},
        {**NOT_FOUND, 422: (*INVALID, "unknown_brand")},
        query=OneBrand,
    ),
]
