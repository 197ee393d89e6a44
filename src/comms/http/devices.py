"""Devices that take push messages."""

from __future__ import annotations

from uuid import UUID

from comms.actions import devices
from comms.domain.errors import invalid
from comms.http.codes import INVALID, NOT_FOUND, READ, WRITE
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import Removed
from comms.http.shapes.devices import Device, DeviceList, DeviceQuery, DevicesQuery, PutDevice


async def put_device(call: Call) -> Answer:
    """Register a device for a person."""
    body: PutDevice = call.body
    values = (body.brand_id, body.person_id, body.kind, body.token, body.app)
    return Answer(await devices.put(call.house, call.caller, *values))


async def list_devices(call: Call) -> Answer:
    """The person's devices."""
    wanted = call.query
    return Answer({"data": await devices.listed(call.house, call.caller, wanted.brand_id, wanted.person_id)})


async def remove_device(call: Call) -> Answer:
    """Forget a device."""
    try:
        device_id = UUID(call.query.id)
    except ValueError:
        raise invalid("id must be a device's id, as the list shows it.") from None
    await devices.remove(call.house, call.caller, call.query.brand_id, device_id)
    return Answer({"removed": 1})


ROUTES = [
    Route(
        "PUT",
        "/v1/devices",
        WRITE,
        put_device,
        "Register a device",
        {200: Device},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        body=PutDevice,
        tag="push",
    ),
    Route(
        "GET",
        "/v1/devices",
        READ,
        list_devices,
        "List a person's devices",
        {200: DeviceList},
        {422: (*INVALID, "unknown_brand")},
        query=DevicesQuery,
        tag="push",
    ),
    Route(
        "DELETE",
        "/v1/devices",
        WRITE,
        remove_device,
        "Forget a device",
        {200: Removed},
        {**NOT_FOUND, 422: INVALID},
        query=DeviceQuery,
        tag="push",
    ),
]
