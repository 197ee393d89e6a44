"""Push through Firebase Cloud Messaging: its HTTP v1 API, with an access token of a service account.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and /ErrorCode. No `collapseKey`:
of more than four different ones a device keeps four, whichever they are.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.google_token import AccessToken
from comms.providers.http import Answer, Request
from comms.providers.kind import Tools
from comms.providers.push import (
    LARGEST,
    PushService,
    beside,
    is_urgent,
    push_kind,
    seconds_kept,
    secret,
    size,
    words,
)
from comms.providers.vendor import BaseUrl, Meanings, address, as_json, bearer

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_OWN = "https://fcm.googleapis.com"

_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_VIOLATION = "type.googleapis.com/google.rpc.BadRequest"

_MEANINGS = Meanings(
    "fcm",
    bad_recipient={
        "UNREGISTERED": "the app is gone from the device",
        "NO_TOKEN": "what was given as a token is none: ours for an INVALID_ARGUMENT that says so",
    },
    refused={
        "INVALID_ARGUMENT": "",
        "SENDER_ID_MISMATCH": "the token is another project's: it may be good on another provider",
    },
    later={"QUOTA_EXCEEDED": "too many, or too many to one device", "UNAVAILABLE": "overloaded"},
    setup={"THIRD_PARTY_AUTH_ERROR": "the project's own key for APNs or web push is wrong"},
)


class FcmSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`base_url` stands for Google's token server as well, unless the service account names another."""

    project_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{1,100}(?!\n)$")]
    base_url: BaseUrl = _OWN


class Fcm(PushService):
    """One project."""

    def __init__(self, settings: FcmSettings, secrets: dict[str, str], tools: Tools) -> None:
        super().__init__(settings.base_url, tools)
        self._settings = settings
        self._now = tools.now
        stand_in = None if settings.base_url == _OWN else settings.base_url
        read = partial(AccessToken, scope=_SCOPE, stand_in=stand_in, tools=tools)
        self._token = secret(secrets, "service_account", read)

    async def compose(self, outgoing: Outgoing) -> Request | Rejected | TryLater | Misconfigured:
        """POST .../messages:send, to one device, whatever it runs on."""
        message = _message(outgoing, self._now())
        if size(message) > LARGEST:
            return Rejected("too_large")
        token = await self._token.get()
        if not isinstance(token, str):
            return token
        url = address(self._settings.base_url, f"/v1/projects/{self._settings.project_id}/messages:send")
        members = {"message": {"token": outgoing.recipient, **message}}
        return Request(url, *as_json(members, bearer(token)))

    def read(self, answer: Answer) -> Outcome:
        """A name, or an error with the details that tell what its status does not."""
        if answer.status == 200:
            name = answer.members.get("name")
            return Accepted(name) if isinstance(name, str) else Lost("answer_unreadable")
        if answer.status == 401:
            self._token.forget()
        return _MEANINGS.of(answer, _code(answer.members))


def _message(outgoing: Outgoing, now: datetime) -> dict[str, Any]:
    """All but the token, which does not count towards the limit. `tag` and collapse id replace a repeat."""
    kept, urgent = seconds_kept(outgoing), is_urgent(outgoing)
    expires = str(int(now.timestamp()) + kept)
    web: dict[str, Any] = {"headers": {"TTL": str(kept), "Urgency": "high" if urgent else "normal"}}
    link = outgoing.content.action_url
    if link and link.startswith("https:"):  # it refuses any other
        web["fcmOptions"] = {"link": link}
    return {
        "notification": words(outgoing),
        "data": beside(outgoing),
        "android": {
            "priority": "HIGH" if urgent else "NORMAL",
            "ttl": f"{kept}s",
            "notification": {"tag": outgoing.key},
        },
        "apns": {
            "headers": {
                "apns-priority": "10" if urgent else "5",
                "apns-expiration": expires,
                "apns-collapse-id": outgoing.key,
            },
            "payload": {"aps": {"sound": "default"}},
        },
        "webpush": web,
    }


def _code(members: dict[str, Any]) -> object:
    """`errorCode` of the details, else the error's `status`.

    A device that is forgotten does not come back by itself, so an INVALID_ARGUMENT is the token's only
    where it says so, by the field that it names or, as it does for a malformed token, by its words alone.
    """
    error = members.get("error")
    if not isinstance(error, dict):
        return None
    listed = error.get("details")
    details = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    codes = [each.get("errorCode") for each in details if each.get("@type") == _ERROR]
    code = codes[0] if codes else error.get("status")
    return "NO_TOKEN" if code == "INVALID_ARGUMENT" and _is_about_the_token(error, details) else code


def _is_about_the_token(error: dict[str, Any], details: list[dict[str, Any]]) -> bool:
    violations = [each.get("fieldViolations") for each in details if each.get("@type") == _VIOLATION]
    fields = [
        each.get("field")
        for some in violations
        if isinstance(some, list)
        for each in some
        if isinstance(each, dict)
    ]
    return fields == ["message.token"] if fields else "registration token" in str(error.get("message"))


KIND = push_kind("fcm", FcmSettings, ["service_account"], Fcm)
