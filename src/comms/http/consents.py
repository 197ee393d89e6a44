"""Consents and preferences: what persons allow."""

from __future__ import annotations

from comms.actions import consents
from comms.http import shapes as s
from comms.http.messages import cursor, page
from comms.http.routing import Answer, Call


async def list_consents(call: Call) -> Answer:
    """The person's consents."""
    wanted, person_id = call.query, call.request.path_params["person_id"]
    values = (wanted.brand_id, person_id, wanted.limit, cursor(wanted.cursor))
    return Answer(page("data", await consents.consents(call.house, call.caller, *values), wanted.limit))


async def put_consent(call: Call) -> Answer:
    """Consent that was given or withdrawn."""
    body: s.PutConsent = call.body
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
    body: s.PutPreference = call.body
    made = await consents.put_preference(call.house, call.caller, _about(body), enabled=body.enabled)
    return Answer(made)


def _about(body: s.About) -> consents.About:
    return consents.About(body.brand_id, body.person_id, body.channel, body.category)
