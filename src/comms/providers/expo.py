"""Push through Expo's service, which hands on to Apple and Google, and says later what they said.

https://docs.expo.dev/push-notifications/sending-notifications/. A ticket says that Expo took the
message; a receipt, a quarter of an hour later, what became of it. There is no webhook for receipts.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.expo_receipts import Receipts, error_of
from comms.providers.http import Answer, Request
from comms.providers.kind import Tools
from comms.providers.push import (
    LARGEST,
    PushService,
    Unusable,
    beside,
    is_urgent,
    push_kind,
    seconds_kept,
    size,
    words,
)
from comms.providers.vendor import BaseUrl, Meanings, address, as_json, bearer, wrong_secret

_PATH = "/--/api/v2/push"

_MEANINGS = Meanings(
    "expo",
    bad_recipient={"DeviceNotRegistered": "the app is gone from the device"},
    refused={
        "MessageTooBig": "",
        "VALIDATION_ERROR": "",
        "TICKET_ERROR": "a ticket that says no more than error",
        "PUSH_TOO_MANY_EXPERIENCE_IDS": "",
        "PUSH_TOO_MANY_NOTIFICATIONS": "",
    },
    later={"MessageRateExceeded": "too many to this device", "TOO_MANY_REQUESTS": "600 a second a project"},
    setup={
        "UNAUTHORIZED": "the project asks for an access token",
        "MismatchSenderId": "the project's keys for FCM do not belong together",
        "InvalidCredentials": "the project's key for Apple or Google is wrong",
        "InvalidProviderToken": "",
    },
)


class ExpoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing need be set."""

    base_url: BaseUrl = "https://exp.host"


class Expo(PushService):
    """One project, or several: the token says whose it is."""

    def __init__(self, settings: ExpoSettings, secrets: dict[str, str], tools: Tools) -> None:
        super().__init__(settings.base_url, tools)
        if wrong := wrong_secret(secrets.keys(), secrets):
            raise Unusable(wrong)
        self._base_url = settings.base_url
        self._headers = bearer(secrets["access_token"]) if secrets else {}
        self._receipts = Receipts(self._ask_for_receipts, tools)

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the delivery over, once, and ask for its receipt later."""
        outcome = await super().send(outgoing)
        if isinstance(outcome, Accepted) and outcome.reference:
            self._receipts.expect(outcome.reference, outgoing)
        return outcome

    async def close(self) -> None:
        """The receipts that are outstanding are not asked for any more."""
        self._receipts.close()

    async def compose(self, outgoing: Outgoing) -> Request | Rejected:
        """POST .../push/send, one message: a fault in one of many would be all the others' fault."""
        message: dict[str, Any] = {
            **words(outgoing),
            "data": beside(outgoing),
            "sound": "default",
            "ttl": seconds_kept(outgoing),
            "priority": "high" if is_urgent(outgoing) else "normal",
        }
        if size(message) > LARGEST:
            return Rejected("too_large")
        members = {"to": outgoing.recipient, **message}
        return Request(address(self._base_url, f"{_PATH}/send"), *as_json(members, self._headers))

    def read(self, answer: Answer) -> Outcome:
        """A ticket, or errors of the whole request."""
        ticket = _ticket(answer)
        if ticket is None:
            return _MEANINGS.of(answer, _first_error(answer.members))
        if ticket.get("status") == "ok":
            reference = ticket.get("id")
            return Accepted(reference) if isinstance(reference, str) else Lost("answer_unreadable")
        return _MEANINGS.of(answer, _known(error_of(ticket)))

    async def _ask_for_receipts(self, tickets: list[str], seconds: float) -> dict[str, Any] | None:
        """The receipts that are there, by ticket; None where no answer could be read."""
        url = address(self._base_url, f"{_PATH}/getReceipts")
        answer = await self._http.post(Request(url, *as_json({"ids": tickets}, self._headers)), seconds)
        found = answer.members.get("data") if isinstance(answer, Answer) and answer.status == 200 else None
        return found if isinstance(found, dict) else None


def _known(code: object) -> object:
    """A ticket with any other error was not taken either."""
    known = {**_MEANINGS.bad_recipient, **_MEANINGS.refused, **_MEANINGS.later, **_MEANINGS.setup}
    return code if isinstance(code, str) and code in known else "TICKET_ERROR"


def _ticket(answer: Answer) -> dict[str, Any] | None:
    data = answer.members.get("data") if answer.status == 200 else None
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data if isinstance(data, dict) else None


def _first_error(members: dict[str, Any]) -> object:
    errors = members.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first.get("code") if isinstance(first, dict) else None


KIND = push_kind("expo", ExpoSettings, ["access_token"], Expo, opens_without=True)
