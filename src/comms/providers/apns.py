"""Push to Apple's devices through APNs: HTTP/2, on a kept connection, with a token that we sign.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns and
/handling-notification-responses-from-apns. A connection serves one team, and sees a new token at most
every twenty minutes; a token is good for an hour.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.http import Answer, Request
from comms.providers.kind import Tools
from comms.providers.push import LARGEST, PushService, beside, is_urgent, push_kind, secret, words
from comms.providers.signing import elliptic_key, jwt
from comms.providers.vendor import BaseUrl, Meanings, address

_TOKEN_LASTS = timedelta(minutes=50)
_TOKEN_STAYS = timedelta(minutes=20)

_MEANINGS = Meanings(
    "apns",
    bad_recipient={
        "Unregistered": "the app is gone from the device",
        "ExpiredToken": "the token has been replaced",
        "BadDeviceToken": "no such token, or one of the other environment",
    },
    refused={
        "DeviceTokenNotForTopic": "the token is another app's: it may be good on another provider",
        "MissingDeviceToken": "",
        "PayloadTooLarge": "",
        "PayloadEmpty": "",
        "BadCollapseId": "",
        "BadExpirationDate": "",
        "BadMessageId": "",
        "BadPriority": "",
        "DuplicateHeaders": "",
    },
    later={
        "TooManyRequests": "too many to this device, one after the other",
        "ExpiredProviderToken": "our token is too old: the next call signs another",
        "ServiceUnavailable": "",
        "Shutdown": "the server goes away: the next call opens another connection",
        "IdleTimeout": "",
    },
    setup={
        "InvalidProviderToken": "team_id, key_id and key do not belong together",
        "MissingProviderToken": "",
        "TooManyProviderTokenUpdates": "somebody else signs tokens for the same team, too often",
        "BadTopic": "",
        "MissingTopic": "",
        "TopicDisallowed": "the key may not push to this app",
        "InvalidPushType": "",
        "BadEnvironmentKeyInToken": "the key is for the other environment",
        "BadCertificate": "",
        "BadCertificateEnvironment": "",
        "Forbidden": "",
        "BadPath": "",
        "MethodNotAllowed": "",
    },
)


class ApnsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`topic` is the app's bundle id. Devices of a development build live at api.sandbox.push.apple.com."""

    team_id: Annotated[str, Meta(pattern=r"^[A-Z0-9]{10}(?!\n)$")]
    key_id: Annotated[str, Meta(pattern=r"^[A-Z0-9]{10}(?!\n)$")]
    topic: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,255}(?!\n)$")]
    base_url: BaseUrl = "https://api.push.apple.com"


class Apns(PushService):
    """One key of one team, for one app."""

    def __init__(self, settings: ApnsSettings, secrets: dict[str, str], tools: Tools) -> None:
        super().__init__(settings.base_url, tools)
        self._settings = settings
        self._key = secret(secrets, "key", elliptic_key)
        self._now = tools.now
        self._token = ""
        self._signed_at = datetime.min.replace(tzinfo=UTC)

    async def compose(self, outgoing: Outgoing) -> Request | Rejected:
        """POST /3/device/TOKEN; a second call with the same key replaces what the device shows."""
        body = msgspec.json.encode(
            {"aps": {"alert": words(outgoing), "sound": "default"}, **beside(outgoing)}
        )
        if len(body) > LARGEST:
            return Rejected("too_large")
        expires = self._now() + timedelta(seconds=max(0.0, outgoing.lifetime))
        headers = {
            "authorization": f"bearer {self._signed()}",
            "apns-topic": self._settings.topic,
            "apns-push-type": "alert",
            "apns-priority": "10" if is_urgent(outgoing) else "5",
            "apns-expiration": str(int(expires.timestamp())),
            "apns-collapse-id": outgoing.key,
            "apns-id": str(uuid.uuid5(outgoing.message_id, outgoing.key)),
            "Content-Type": "application/json",
        }
        path = f"/3/device/{quote(outgoing.recipient, safe='')}"
        line = f"{self._settings.team_id}/{self._settings.key_id}"
        return Request(address(self._settings.base_url, path), body, headers, http2=line)

    def read(self, answer: Answer) -> Outcome:
        """200 with an id and nothing more, or a reason."""
        if answer.status == 200:
            reference = answer.headers.get("Apns-Id")
            is_it = reference is not None or answer.body == b""
            return Accepted(reference) if is_it else Lost("answer_unreadable")
        reason = answer.members.get("reason")
        if reason == "ExpiredProviderToken" and self._now() - self._signed_at >= _TOKEN_STAYS:
            self._token = ""  # not a younger one: calls that took the old one along are answered late
        outcome = _MEANINGS.of(answer, reason)
        if isinstance(outcome, Rejected) and outcome.bad_recipient:
            return Rejected(outcome.reason, bad_recipient=True, since=_dead_since(answer))
        return outcome

    def _signed(self) -> str:
        now = self._now()
        if not self._token or not timedelta() <= now - self._signed_at < _TOKEN_LASTS:
            claims = {"iss": self._settings.team_id, "iat": int(now.timestamp())}
            self._token, self._signed_at = jwt(self._key, claims, kid=self._settings.key_id), now
        return self._token


def _dead_since(answer: Answer) -> datetime | None:
    """`timestamp`, in milliseconds: a token that was registered after that moment is another matter."""
    given = answer.members.get("timestamp")
    if not isinstance(given, int) or not 0 < given < 10**14:
        return None
    return datetime.fromtimestamp(given / 1000, UTC)


KIND = push_kind("apns", ApnsSettings, ["key"], Apns)
