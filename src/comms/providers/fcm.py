"""Push through Firebase Cloud Messaging: its HTTP v1 API, with an access token of a service account.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and /ErrorCode;
https://developers.google.com/identity/protocols/oauth2/service-account for the token. No `collapseKey`:
of more than four different ones a device keeps four, whichever they are.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.http import Answer, Http, Request
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
from comms.providers.signing import jwt, rsa_key
from comms.providers.vendor import BaseUrl, Meanings, address, as_form, as_json, bearer

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523
_ASSERTION_LASTS = timedelta(hours=1)
_RENEWED_BEFORE = timedelta(minutes=5)
_TOKEN_CALL_SECONDS = 5.0
_GOOGLE = "https://oauth2.googleapis.com"
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


class ServiceAccount(Struct, frozen=True):
    """What is needed of the JSON file that Google hands out."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: Annotated[str, Meta(pattern=r"^https?://[!-~]+(?!\n)$")] = f"{_GOOGLE}/token"


class Fcm(PushService):
    """One project."""

    def __init__(self, settings: FcmSettings, secrets: dict[str, str], tools: Tools) -> None:
        super().__init__(settings.base_url, tools)
        self._settings = settings
        self._now = tools.now
        self._access = secret(secrets, "service_account", lambda text: _access(text, settings, tools))

    async def compose(self, outgoing: Outgoing) -> Request | Rejected | TryLater | Misconfigured:
        """POST .../messages:send, to one device, whatever it runs on."""
        message = _message(outgoing, self._now())
        if size(message) > LARGEST:
            return Rejected("too_large")
        token = await self._access.token()
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
            self._access.forget()
        return _MEANINGS.of(answer, _code(answer.members))


class _Access:
    """The access token: fetched when it is first needed, kept, renewed before it ends; one call at a time."""

    def __init__(self, account: ServiceAccount, url: str, tools: Tools) -> None:
        self._account = account
        self._key = rsa_key(account.private_key)
        self._url = url
        self._http: Http = tools.http
        self._now = tools.now
        self._kept: tuple[str, datetime] | None = None
        self._fetching: asyncio.Task[str | TryLater | Misconfigured] | None = None

    async def token(self) -> str | TryLater | Misconfigured:
        """The token, or why there is none: then nothing was sent."""
        if self._kept and self._now() < self._kept[1]:
            return self._kept[0]
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def forget(self) -> None:
        """It was refused: the next call fetches another."""
        self._kept = None

    def _fetched(self, _task: object) -> None:
        self._fetching = None

    async def _fetch(self) -> str | TryLater | Misconfigured:
        now = self._now()
        claims = {
            "iss": self._account.client_email,
            "scope": _SCOPE,
            "aud": self._account.token_uri,
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LASTS).timestamp()),
        }
        header = {"kid": self._account.private_key_id} if self._account.private_key_id else {}
        form = {"grant_type": _GRANT, "assertion": jwt(self._key, claims, **header)}
        answer = await self._http.post(Request(self._url, *as_form(form, {})), _TOKEN_CALL_SECONDS)
        if not isinstance(answer, Answer):
            return answer if isinstance(answer, TryLater | Misconfigured) else TryLater("token_unanswered")
        token, lasts = answer.members.get("access_token"), answer.members.get("expires_in")
        if answer.status == 200 and isinstance(token, str) and isinstance(lasts, int):
            self._kept = token, now + timedelta(seconds=min(lasts, 86_400)) - _RENEWED_BEFORE
            return token
        if 400 <= answer.status < 500 and answer.status != 429:
            return Misconfigured("fcm_token_refused")
        return TryLater("token_unanswered")


def _access(text: str, settings: FcmSettings, tools: Tools) -> _Access:
    """The account as its file has it; ValueError where it is not one."""
    account = msgspec.json.decode(text, type=ServiceAccount)
    url = account.token_uri
    if url.startswith(_GOOGLE) and settings.base_url != _OWN:
        url = address(settings.base_url, url.removeprefix(_GOOGLE))
    return _Access(account, url, tools)


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
