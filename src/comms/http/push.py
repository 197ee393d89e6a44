"""Web push: a browser subscribes, a service pushes to all of a patient's devices."""

from __future__ import annotations

from comms.actions import push
from comms.http.codes import INVALID, NOT_FOUND, WRITE
from comms.http.messages import PATIENCE, outcome
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.push import PushResults, PushSubscription, SendPush, Subscribe


async def subscribe_browser(call: Call) -> Answer:
    """Register a browser for a person."""
    body: Subscribe = call.body
    given = push.Subscription(body.endpoint, body.p256dh, body.auth)
    made = await push.subscribe(call.house, call.caller, body.brand_id, body.person_id, given)
    return Answer(made, 201)


async def send_push(call: Call) -> Answer:
    """Push now, and wait for what each device's service says."""
    body: SendPush = call.body
    brand_id = call.brand_id()
    said = push.Pushed(body.title, body.body, body.url)
    message = await push.push(call.house, call.caller, brand_id, body.patientId, said)
    await outcome(call.house, call.caller, message, PATIENCE)
    found = await push.results(call.house, brand_id, body.patientId, message)
    counted = [each["status"] for each in found]
    return Answer(
        {
            "patient_id": body.patientId,
            "person_id": body.patientId,
            "sent": counted.count("sent"),
            "rejected": counted.count("rejected"),
            "results": found,
        }
    )


ROUTES = [
    Route(
        "POST",
        "/v1/push/subscriptions",
        WRITE,
        subscribe_browser,
        "Register a browser",
        {201: PushSubscription},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        body=Subscribe,
        tag="push",
    ),
    Route(
        "POST",
        "/v1/push/send",
        WRITE,
        send_push,
        "Push to all of a patient's devices",
        {200: PushResults},
        {**NOT_FOUND, 422: (*INVALID, "unknown_brand", "no_route", "does_not_render")},
        body=SendPush,
        headers=("X-Brand-Id",),
        tag="push",
    ),
]
