"""What would be sent, when, and why not, without sending."""

from __future__ import annotations

from comms.actions import simulations
from comms.http.codes import INVALID, READ
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.simulations import Simulate, Simulation


async def simulate(call: Call) -> Answer:
    """Judge what waits ahead of its time."""
    body: Simulate = call.body
    wanted = (body.brand_id, body.person_id or None, body.until)
    return Answer(await simulations.simulate(call.house, call.caller, *wanted))


ROUTES = [
    Route(
        "POST",
        "/v1/simulations",
        READ,
        simulate,
        "What would be sent, when, and why not",
        {200: Simulation},
        {422: (*INVALID, "unknown_brand", "until_in_past", "until_too_far")},
        body=Simulate,
    ),
]
