"""Consents and preferences: what persons allow."""

from __future__ import annotations

from datetime import timedelta

from comms.actions import addresses, consents
from comms.domain.schedule import show
from comms.http.codes import INVALID, PREFERENCES
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call, Route
from comms.http.shapes.common import BrandQuery
from comms.http.shapes.consents import (
    About,
    AskLink,
    Consent,
    ConsentCheck,
    ConsentList,
    MadeLink,
    Preference,
    PreferenceList,
    PutConsent,
    PutPreference,
    Unsubscribed,
)


async def list_consents(call: Call) -> Answer:
    """The person's consents."""
    wanted, person_id = call.query, call.request.path_params["person_id"]
    values = (wanted.brand_id, person_id, wanted.limit, cursor(wanted.cursor))
    return Answer(page("data", await consents.consents(call.house, call.caller, *values), wanted.limit))


async def put_consent(call: Call) -> Answer:
    """Consent that was given or withdrawn."""
    body: PutConsent = call.body
    about = _about(body)
    made = await consents.put_consent(
        call.house, call.caller, about, opted_in=body.opted_in, source=body.source
    )
    return Answer(made)


async def unsubscribe(call: Call) -> Answer:
    """Consent withdrawn."""
    return Answer(await consents.unsubscribe(call.house, call.caller, _about(call.body)))


async def check_consent(call: Call) -> Answer:
    """What the person's consent says."""
    return Answer(await consents.check(call.house, call.caller, _about(call.body)))


async def list_preferences(call: Call) -> Answer:
    """The person's switches."""
    wanted, person_id = call.query, call.request.path_params["person_id"]
    values = (wanted.brand_id, person_id, wanted.limit, cursor(wanted.cursor))
    return Answer(page("data", await consents.preferences(call.house, call.caller, *values), wanted.limit))


async def put_preference(call: Call) -> Answer:
    """A person's own switch."""
    body: PutPreference = call.body
    made = await consents.put_preference(call.house, call.caller, _about(body), enabled=body.enabled)
    return Answer(made)


async def make_preferences_link(call: Call) -> Answer:
    """Where a person may choose, without a login."""
    body: AskLink = call.body
    call.caller.act_for(body.brand_id)
    brand = await call.house.setup.require_brand(body.brand_id)
    expires = call.house.clock.now().replace(microsecond=0) + timedelta(seconds=body.expires_in)
    url = addresses.preferences(call.house, brand, body.person_id, expires)
    return Answer({"url": url, "expires_at": show(expires)}, 201)


def _about(body: About) -> consents.About:
    return consents.About(body.brand_id, body.person_id, body.channel, body.category)


ROUTES = [
    Route(
        "POST",
        "/v1/preferences/link",
        PREFERENCES,
        make_preferences_link,
        "Make a link to a person's preferences",
        {201: MadeLink},
        {422: (*INVALID, "unknown_brand", "no_public_url")},
        body=AskLink,
        tag="permission",
    ),
    Route(
        "GET",
        "/v1/consents/{person_id}",
        PREFERENCES,
        list_consents,
        "A person's consents",
        {200: ConsentList},
        {422: (*INVALID, "unknown_brand")},
        query=BrandQuery,
        tag="permission",
    ),
    Route(
        "PUT",
        "/v1/consents",
        PREFERENCES,
        put_consent,
        "Record consent, given or withdrawn",
        {200: Consent},
        {422: (*INVALID, "unknown_brand")},
        body=PutConsent,
        tag="permission",
    ),
    Route(
        "POST",
        "/v1/unsubscribe",
        PREFERENCES,
        unsubscribe,
        "Withdraw consent",
        {200: Unsubscribed},
        {422: (*INVALID, "unknown_brand")},
        body=About,
        tag="permission",
    ),
    Route(
        "POST",
        "/v1/messaging/consent/check",
        PREFERENCES,
        check_consent,
        "Has the person consented?",
        {200: ConsentCheck},
        {422: (*INVALID, "unknown_brand")},
        body=About,
        tag="permission",
    ),
    Route(
        "GET",
        "/v1/preferences/{person_id}",
        PREFERENCES,
        list_preferences,
        "A person's preferences",
        {200: PreferenceList},
        {422: (*INVALID, "unknown_brand")},
        query=BrandQuery,
        tag="permission",
        person=True,
    ),
    Route(
        "PUT",
        "/v1/preferences",
        PREFERENCES,
        put_preference,
        "Set a person's preference",
        {200: Preference},
        {422: (*INVALID, "unknown_brand")},
        body=PutPreference,
        tag="permission",
        person=True,
    ),
]
