"""Google's access tokens, for a service account: fetched when needed, kept, renewed before they end.

https://developers.google.com/identity/protocols/oauth2/service-account; the grant is RFC 7523's.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from comms.providers.base import Misconfigured, TryLater
from comms.providers.http import Answer, Request
from comms.providers.kind import Tools
from comms.providers.signing import jwt, rsa_key
from comms.providers.vendor import address, as_form

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LASTS = timedelta(hours=1)
_RENEWED_BEFORE = timedelta(minutes=5)
_CALL_SECONDS = 5.0
_GOOGLE = "https://oauth2.googleapis.com"


class ServiceAccount(Struct, frozen=True):
    """What is needed of the JSON file that Google hands out."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: Annotated[str, Meta(pattern=r"^https?://[!-~]+(?!\n)$")] = f"{_GOOGLE}/token"


class AccessToken:
    """One account's token for one scope; one call at a time, whose answer all share that wait for it.

    `file` is the account's, as Google hands it out: ValueError where it is none. `stand_in` is scheme and
    host of a server that takes the place of Google's.
    """

    def __init__(self, file: str, scope: str, stand_in: str | None, tools: Tools) -> None:
        self._account = account = msgspec.json.decode(file, type=ServiceAccount)
        self._key = rsa_key(account.private_key)
        self._scope = scope
        self._url = account.token_uri
        if stand_in and self._url.startswith(_GOOGLE):
            self._url = address(stand_in, self._url.removeprefix(_GOOGLE))
        self._http = tools.http
        self._now = tools.now
        self._kept: tuple[str, datetime] | None = None
        self._fetching: asyncio.Task[str | TryLater | Misconfigured] | None = None

    async def get(self) -> str | TryLater | Misconfigured:
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
            "scope": self._scope,
            "aud": self._account.token_uri,
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LASTS).timestamp()),
        }
        header = {"kid": self._account.private_key_id} if self._account.private_key_id else {}
        form = {"grant_type": _GRANT, "assertion": jwt(self._key, claims, **header)}
        answer = await self._http.post(Request(self._url, *as_form(form, {})), _CALL_SECONDS)
        if not isinstance(answer, Answer):
            return answer if isinstance(answer, TryLater | Misconfigured) else TryLater("token_unanswered")
        token, lasts = answer.members.get("access_token"), answer.members.get("expires_in")
        if answer.status == 200 and isinstance(token, str) and isinstance(lasts, int):
            self._kept = token, now + timedelta(seconds=min(lasts, 86_400)) - _RENEWED_BEFORE
            return token
        if 400 <= answer.status < 500 and answer.status != 429:
            return Misconfigured("fcm_token_refused")
        return TryLater("token_unanswered")
