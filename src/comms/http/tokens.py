"""Tokens of persons, made for a service's own users."""

from __future__ import annotations

from datetime import timedelta

from comms.actions import tokens
from comms.domain.schedule import show
from comms.http.codes import INVALID
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.tokens import MadeToken, PersonToken


async def create_person_token(call: Call) -> Answer:
    """A token for one person's own inbox and preferences."""
    body: PersonToken = call.body
    call.caller.act_for(body.brand_id)
    lifetime = timedelta(seconds=body.expires_in)
    token = await tokens.create(call.house, call.caller, body.brand_id, [], None, lifetime, body.person_id)
    return Answer({"token": token, "expires_at": show(call.house.clock.now() + lifetime)}, 201)


ROUTES = [
    Route(
        "POST",
        "/v1/tokens/person",
        "issue:person-tokens",
        create_person_token,
        "Make a person's token",
        {201: MadeToken},
        {422: (*INVALID, "unknown_brand")},
        body=PersonToken,
        tag="set-up",
    ),
]
