"""Events out: who wants to hear of a brand's."""

from __future__ import annotations

from datetime import timedelta

from comms.actions import subscriptions
from comms.domain import schedule as time
from comms.http.codes import BRANDS, INVALID, NOT_FOUND
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import BrandQuery, Removed
from comms.http.shapes.subscriptions import (
    MadeSubscription,
    NewSubscription,
    PutSubscription,
    Replay,
    Replayed,
    Rotate,
    Rotated,
    Subscription,
    SubscriptionList,
    Tested,
)


async def add_subscription(call: Call) -> Answer:
    """Somebody wants to hear."""
    body: NewSubscription = call.body
    made = await subscriptions.add(call.house, call.caller, body.brand_id, body.url, body.events)
    return Answer(made, 201)


async def list_subscriptions(call: Call) -> Answer:
    """The brand's, newest first."""
    wanted: BrandQuery = call.query
    before = cursor(wanted.cursor)
    found = await subscriptions.listed(call.house, call.caller, wanted.brand_id, wanted.limit, before)
    return Answer(page("data", found, wanted.limit))


async def get_subscription(call: Call) -> Answer:
    """One, with how it is doing."""
    return Answer(await subscriptions.get(call.house, call.caller, call.path_id("subscription")))


async def put_subscription(call: Call) -> Answer:
    """Another address, other events, off or on again."""
    body: PutSubscription = call.body
    wanted = call.path_id("subscription")
    return Answer(
        await subscriptions.put(call.house, call.caller, wanted, body.url, body.events, enabled=body.enabled)
    )


async def remove_subscription(call: Call) -> Answer:
    """Nothing more is told."""
    await subscriptions.remove(call.house, call.caller, call.path_id("subscription"))
    return Answer({"removed": 1})


async def rotate_secret(call: Call) -> Answer:
    """Another secret, while the old one is still good."""
    overlap = timedelta(seconds=call.body.overlap)
    return Answer(await subscriptions.rotate(call.house, call.caller, call.path_id("subscription"), overlap))


async def test_subscription(call: Call) -> Answer:
    """Call the receiver now."""
    return Answer(await subscriptions.test(call.house, call.caller, call.path_id("subscription")))


async def replay_events(call: Call) -> Answer:
    """Tell again."""
    body: Replay = call.body
    since, until = time.read(body.since, "from").instant, time.read(body.until, "to").instant
    wanted = call.path_id("subscription")
    return Answer(await subscriptions.replay(call.house, call.caller, wanted, since, until), 202)


_ONE = "/v1/subscriptions/{id}"

ROUTES = [
    Route(
        "POST",
        "/v1/subscriptions",
        BRANDS,
        add_subscription,
        "Subscribe to a brand's events",
        {201: MadeSubscription},
        {422: (*INVALID, "unknown_brand", "url_refused", "too_many_subscriptions")},
        body=NewSubscription,
        tag="events",
    ),
    Route(
        "GET",
        "/v1/subscriptions",
        BRANDS,
        list_subscriptions,
        "List subscriptions",
        {200: SubscriptionList},
        {422: (*INVALID, "unknown_brand")},
        query=BrandQuery,
        tag="events",
    ),
    Route(
        "GET",
        _ONE,
        BRANDS,
        get_subscription,
        "Show a subscription",
        {200: Subscription},
        NOT_FOUND,
        tag="events",
    ),
    Route(
        "PUT",
        _ONE,
        BRANDS,
        put_subscription,
        "Change a subscription",
        {200: Subscription},
        {**NOT_FOUND, 422: (*INVALID, "url_refused")},
        body=PutSubscription,
        tag="events",
    ),
    Route(
        "DELETE",
        _ONE,
        BRANDS,
        remove_subscription,
        "Delete a subscription",
        {200: Removed},
        NOT_FOUND,
        tag="events",
    ),
    Route(
        "POST",
        f"{_ONE}/rotate-secret",
        BRANDS,
        rotate_secret,
        "Give it another secret",
        {200: Rotated},
        {**NOT_FOUND, 422: INVALID},
        body=Rotate,
        tag="events",
    ),
    Route(
        "POST",
        f"{_ONE}/test",
        BRANDS,
        test_subscription,
        "Call the receiver now",
        {200: Tested},
        NOT_FOUND,
        tag="events",
    ),
    Route(
        "POST",
        f"{_ONE}/replay",
        BRANDS,
        replay_events,
        "Tell again what happened",
        {202: Replayed},
        {
            **NOT_FOUND,
            409: ("subscription_disabled", "too_many_replays"),
            422: (*INVALID, "empty_time_range"),
        },
        body=Replay,
        tag="events",
    ),
]
