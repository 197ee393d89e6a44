"""Web push under its published names: a browser's subscription is a device, a push to a patient a message."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec

from comms.actions import acceptance, devices, templates
from comms.actions.acceptance import Request
from comms.actions.house import House
from comms.actions.templates import NewTemplate
from comms.domain.caller import Caller
from comms.domain.content import Sealed
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of
from comms.domain.permission import TRANSACTIONAL
from comms.domain.recipient import PERSON
from comms.store import queue

_MAX_LATE = 300
"""Seconds: what is pushed at once is about now."""


class Subscription(NamedTuple):
    """What a browser gives (W3C Push API); the keys are base64url."""

    endpoint: str
    p256dh: str
    auth: str


class Pushed(NamedTuple):
    """What is pushed; `url` is where it leads."""

    title: str
    body: str
    url: str | None


async def subscribe(
    house: House, caller: Caller, brand_id: str, person_id: str, given: Subscription
) -> dict[str, Any]:
    """Register the browser as a device of kind webpush; its token is the subscription as JSON."""
    keys = {"p256dh": given.p256dh, "auth": given.auth}
    token = msgspec.json.encode({"endpoint": given.endpoint, "keys": keys}).decode()
    made = await devices.put(house, caller, brand_id, person_id, "webpush", token, None)
    shown = {name: made[name] for name in ("id", "brand_id", "person_id", "created_at")}
    return {**shown, "endpoint": given.endpoint, "expires_at": None}


async def push(house: House, caller: Caller, brand_id: str, person_id: str, said: Pushed) -> UUID:
    """Accept a message to all of the person's devices; 404 where there is none."""
    if not await devices.listed(house, caller, brand_id, person_id):
        raise Refused(404, "not_found", "The patient has no device that takes pushes; subscribe one first.")
    key = await _template(house, caller, brand_id, has_url=said.url is not None)
    variables = {name: value for name, value in said._asdict().items() if value is not None}
    request = Request("push", key, PERSON, brand_id, person_id, f"push/{uuid4()}", None, variables)
    accepted = await acceptance.schedule(house, caller, request)
    return UUID(accepted.message["id"])


async def results(house: House, brand_id: str, person_id: str, message: UUID) -> list[dict[str, Any]]:
    """What became of it at each device, where that is known."""
    brand = await house.setup.require_brand(brand_id)
    person = await house.keys.one(brand, brand.person_hash(person_id))
    found = await queue.frozen(house.database.engine, [(bucket_of(message), message)])
    said = {"accepted": "sent", "rejected": "rejected"}
    made = []
    for row in (row for row in found if row["outcome"] in said):
        sealed = Sealed(row["payload"])
        if person.is_erased(sealed):
            continue
        payload = msgspec.json.decode(person.open(sealed, message, f"payload/{row['n']}"))
        made.append(
            {
                "subscription_id": str(devices.identify(brand, payload["recipient"])),
                "status": said[row["outcome"]],
                "vendor_message_id": row["reference"],
            }
        )
    return made


async def _template(house: House, caller: Caller, brand_id: str, *, has_url: bool) -> str:
    """Of the brand's own, made when it is first needed: it shows what it is given."""
    key = "push-send-with-url" if has_url else "push-send"
    found = await house.setup.template(brand_id, key, "push")
    if found is None:
        new = NewTemplate(
            brand_id, key, "push", "POST /v1/push/send", TRANSACTIONAL, _MAX_LATE, "prefer_silence"
        )
        try:
            made = await templates.create(house, caller, new)
        except Refused as refused:
            if refused.code != "conflict":
                raise
            return key  # another request was quicker
        version = {"subject": "{{ title }}", "body": "{{ body }}"}
        version |= {"action_url": "{{ url }}"} if has_url else {}
        await templates.add_version(house, caller, UUID(made["id"]), version)
    return key
