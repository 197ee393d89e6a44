"""Persons: their zone and their language."""

from __future__ import annotations

from comms.actions import persons
from comms.http.codes import INVALID, NOT_FOUND, PREFERENCES
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import OneBrand
from comms.http.shapes.persons import Person, PutPerson


async def put_person(call: Call) -> Answer:
    """Write down what is known of a person."""
    body: PutPerson = call.body
    person_id, known = call.request.path_params["person_id"], persons.Known(body.timezone, body.locale)
    return Answer(await persons.put(call.house, call.caller, body.brand_id, person_id, known))


async def get_person(call: Call) -> Answer:
    """What is known of a person."""
    person_id = call.request.path_params["person_id"]
    return Answer(await persons.get(call.house, call.caller, call.query.brand_id, person_id))


ROUTES = [
    Route(
        "PUT",
        "/v1/persons/{person_id}",
        PREFERENCES,
        put_person,
        "Write down a person's zone and language",
        {200: Person},
        {422: (*INVALID, "unknown_brand")},
        body=PutPerson,
        tag="permission",
    ),
    Route(
        "GET",
        "/v1/persons/{person_id}",
        PREFERENCES,
        get_person,
        "A person's zone and language",
        {200: Person},
        {**NOT_FOUND, 422: (*INVALID, "unknown_brand")},
        query=OneBrand,
        tag="permission",
    ),
]
