"""E-mail addresses that are not written to."""

from __future__ import annotations

from comms.actions import suppressions
from comms.http.codes import INVALID, NOT_FOUND, PREFERENCES
from comms.http.parsing import path_id
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.suppressions import PutSuppression, Suppression, SuppressionQuery, SuppressionState


async def add_suppression(call: Call) -> Answer:
    """Suppress an address."""
    body: PutSuppression = call.body
    values = (body.brand_id, body.email, body.reason, body.source)
    return Answer(await suppressions.add(call.house, call.caller, *values))


async def get_suppression(call: Call) -> Answer:
    """Is an address suppressed?"""
    email = call.request.path_params["email_or_id"]
    found = await suppressions.of_address(call.house, call.caller, call.query.brand_id, email)
    return Answer({"suppressed": found is not None, "suppression": found})


async def lift_suppression(call: Call) -> Answer:
    """Lift a suppression."""
    wanted = path_id(call.request.path_params["email_or_id"], "suppression")
    return Answer(await suppressions.lift(call.house, call.caller, wanted))


ROUTES = [
    Route(
        "POST",
        "/v1/suppressions",
        PREFERENCES,
        add_suppression,
        "Suppress an address",
        {200: Suppression},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        body=PutSuppression,
        tag="permission",
    ),
    Route(
        "GET",
        "/v1/suppressions/{email_or_id}",
        PREFERENCES,
        get_suppression,
        "Is an e-mail address suppressed?",
        {200: SuppressionState},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        query=SuppressionQuery,
        tag="permission",
    ),
    Route(
        "DELETE",
        "/v1/suppressions/{email_or_id}",
        PREFERENCES,
        lift_suppression,
        "Lift a suppression, by its id",
        {200: Suppression},
        {**NOT_FOUND, 422: ("validation_error",)},
        tag="permission",
    ),
]
