"""A person is erased."""

from __future__ import annotations

from comms.actions import erasure
from comms.http.codes import INVALID, PREFERENCES
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.erasure import Erasure, ErasureQuery


async def erase_person(call: Call) -> Answer:
    """Nothing more goes to the person, and nothing of them can be read."""
    person_id = call.request.path_params["person_id"]
    return Answer(await erasure.erase(call.house, call.caller, call.query.brand_id, person_id))


ROUTES = [
    Route(
        "DELETE",
        "/v1/persons/{person_id}",
        PREFERENCES,
        erase_person,
        "Erase a person",
        {200: Erasure},
        {422: (*INVALID, "unknown_brand")},
        query=ErasureQuery,
        tag="persons",
    ),
]
