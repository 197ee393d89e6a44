"""Where providers report what became of messages."""

from __future__ import annotations

from comms.actions import suppressions, webhooks
from comms.http.codes import INVALID, NOT_FOUND, PREFERENCES
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.webhooks import EmailEvent, EmailEventResult, Received
from comms.providers.events import Incoming

LARGEST = 1024 * 1024
"""Bytes of a call. SendGrid gathers thousands of events into one: refused, they would be lost after a day."""


async def receive_events(call: Call) -> Answer:
    """Take in what a provider says, if it is that provider."""
    headers, now = call.request.headers, call.house.clock.now()
    incoming = Incoming(_address(call), headers, call.body, now)
    received = await webhooks.receive(call.house, call.request.path_params["provider_id"], incoming)
    if received.thanks:
        kind, body = received.thanks
        return Answer(body, headers={"Content-Type": kind})
    return Answer(Received(received.received))


async def report_email_event(call: Call) -> Answer:
    """The published way: the caller's token says that it may."""
    told: EmailEvent = call.body
    values = (told.brand_id, told.recipient_email, told.type, told.vendor_message_id)
    is_suppressed = await suppressions.report(call.house, call.caller, *values)
    action = "suppressed" if is_suppressed else "ignored"
    return Answer({"action": action, "type": told.type, "vendor_message_id": told.vendor_message_id})


def _address(call: Call) -> str:
    """As the provider knows it, who has signed it: by our public name, else by that which was asked for."""
    scope = call.request.scope
    asked = f"{scope['scheme']}://{call.request.headers.get('Host', '')}"
    base = (call.house.settings.public_url or asked).rstrip("/")
    query = scope["query_string"].decode("latin-1")
    path: str = scope["raw_path"].decode("latin-1")
    return base + path + (f"?{query}" if query else "")


ROUTES = [
    Route(
        "POST",
        "/v1/webhooks/email",
        PREFERENCES,
        report_email_event,
        "Report a bounce, a complaint or an unsubscribe",
        {200: EmailEventResult},
        {422: (*INVALID, "unknown_brand", "invalid_recipient")},
        body=EmailEvent,
        tag="permission",
    ),
    Route(
        "POST",
        "/v1/webhooks/{provider_id}",
        None,
        receive_events,
        "Take in a provider's events",
        {200: Received},
        {401: ("invalid_signature",), **NOT_FOUND, 422: ("unreadable_webhook", "validation_error")},
        raw=LARGEST,
        tag="set-up",
    ),
]
