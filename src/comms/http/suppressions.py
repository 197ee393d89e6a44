"""Addresses that are not written to: e-mail addresses, numbers, devices."""

from __future__ import annotations

from uuid import UUID

from msgspec import UnsetType

from comms.actions import suppressions
from comms.domain.brand import Channel
from comms.domain.errors import Refused, invalid
from comms.http.codes import INVALID, NOT_FOUND, PREFERENCES
from comms.http.parsing import path_id
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.suppressions import PutSuppression, Suppression, SuppressionQuery, SuppressionState
from comms.http.shapes.transfers import SuppressionLine


async def add_suppression(call: Call) -> Answer:
    """Suppress an address."""
    body: PutSuppression = call.body
    channel, address = named(body)
    values = (body.brand_id, address, body.reason, body.source, channel)
    return Answer(await suppressions.add(call.house, call.caller, *values))


async def get_suppression(call: Call) -> Answer:
    """Is an address suppressed?"""
    address = call.request.path_params["address_or_id"]
    channel = _channel(address)
    found = await suppressions.of_address(call.house, call.caller, call.query.brand_id, address, channel)
    return Answer({"suppressed": found is not None, "suppression": found})


async def lift_suppression(call: Call) -> Answer:
    """Lift a suppression."""
    wanted = path_id(call.request.path_params["address_or_id"], "suppression")
    return Answer(await suppressions.lift(call.house, call.caller, wanted))


def named(body: PutSuppression | SuppressionLine) -> tuple[Channel, str]:
    """The channel and the address that the body names; 422 unless it is one."""
    given = [(channel, getattr(body, member)) for member, channel in suppressions.MEMBERS.items()]
    found = [(channel, address) for channel, address in given if not isinstance(address, UnsetType)]
    if len(found) != 1:
        raise invalid("Name exactly one of email, number and device.")
    return found[0]


def _channel(address: str) -> Channel:
    """Of an address by its look. A device is asked for by its id: a token must not stand in an address."""
    if "@" in address:
        return "email"
    if address.startswith("+"):
        return "sms"
    try:
        UUID(address)
    except ValueError:
        why = "Ask for an e-mail address, a number such as +15555550123, or a device's id."
        raise Refused(422, "invalid_recipient", why) from None
    return "push"


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
        "/v1/suppressions/{address_or_id}",
        PREFERENCES,
        get_suppression,
        "Is an address suppressed?",
        {200: SuppressionState},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        query=SuppressionQuery,
        tag="permission",
    ),
    Route(
        "DELETE",
        "/v1/suppressions/{address_or_id}",
        PREFERENCES,
        lift_suppression,
        "Lift a suppression, by its id",
        {200: Suppression},
        {**NOT_FOUND, 422: ("validation_error",)},
        tag="permission",
    ),
]
