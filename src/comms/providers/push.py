"""What all push services have in common: what is said to a device, for how long, and how urgently.

An app finds the same two members beside every notification, whichever way it came: `message_id`, by
which it knows one that comes twice, and `action_url`.

A call whose answer was lost is a doubt at all of them: no service takes a key. What stands in for one,
an id by which a notification replaces its like, spares the person a second line and not the second
sound, and nothing at all where the first has been read and swept away. So none is `idempotent`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from comms.providers.base import Misconfigured, Outcome, Outgoing, Provider, Rejected, TryLater
from comms.providers.http import Answer, Request
from comms.providers.kind import Kind, Tools, needing
from comms.providers.vendor import is_encrypted

LARGEST = 4096
"""Bytes of a payload that FCM, APNs and Expo take, and of a body that a web push service must (RFC 8030)."""

LONGEST = 2_419_200
"""Seconds for which FCM, and so Expo, keeps a message: four weeks."""

T = TypeVar("T")


class Unusable(Exception):
    """A secret that is missing or malformed: a code that says which."""


class PushService(ABC):
    """One account at one push service."""

    def __init__(self, base_url: str | None, tools: Tools) -> None:
        self._is_encrypted = is_encrypted({"base_url": base_url})
        self._http = tools.http

    @abstractmethod
    async def compose(self, outgoing: Outgoing) -> Request | Rejected | TryLater | Misconfigured:
        """How a delivery becomes a request. What the service would refuse in any case is refused here."""

    @abstractmethod
    def read(self, answer: Answer) -> Outcome:
        """What an answer means."""

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the delivery over, once."""
        if outgoing.hipaa and not self._is_encrypted:
            return Misconfigured("tls_required")
        began = time.monotonic()
        try:
            async with asyncio.timeout(outgoing.seconds):
                request = await self.compose(outgoing)
        except TimeoutError:
            return TryLater("connection")
        if not isinstance(request, Request):
            return request
        answer = await self._http.post(request, outgoing.seconds - (time.monotonic() - began))
        return self.read(answer) if isinstance(answer, Answer) else answer

    async def close(self) -> None:  # noqa: B027 - few hold anything
        """The connections are the process's."""


class _Useless:
    """An account with a secret that is none: it says so, whatever it is handed."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def send(self, _outgoing: Outgoing) -> Outcome:
        """Nothing can be sent."""
        return Misconfigured(self._why)

    async def close(self) -> None:
        """Nothing is held."""


def push_kind(
    device: str,
    settings: type[Struct],
    secrets: list[str],
    service: Callable[[Any, dict[str, str], Tools], PushService],
    *,
    opens_without: bool = False,
) -> Kind:
    """A service that speaks to one kind of device. `opens_without`: it may do without its secrets."""

    def build(given: Struct, held: dict[str, str], tools: Tools) -> Provider:
        try:
            return service(given, held, tools)
        except Unusable as unusable:
            return _Useless(str(unusable))

    return Kind(
        channels=frozenset(["push"]),
        devices=frozenset([device]),
        settings=settings,
        secrets=frozenset(secrets),
        idempotent=False,
        build=build,
        may_carry_phi=is_encrypted,
        lacks=needing(*(() if opens_without else secrets)),
    )


def secret(secrets: Mapping[str, str], name: str, read: Callable[[str], T]) -> T:
    """A secret as `read` understands it; Unusable where it is not there, or `read` makes nothing of it."""
    given = secrets.get(name)
    if not given:
        raise Unusable(f"{name}_missing")
    try:
        return read(given)
    except (ValueError, msgspec.DecodeError):
        raise Unusable(f"{name}_malformed") from None


def beside(outgoing: Outgoing) -> dict[str, str]:
    """What an app finds beside the notification."""
    found = {"message_id": str(outgoing.message_id)}
    if outgoing.content.action_url:
        found["action_url"] = outgoing.content.action_url
    return found


def words(outgoing: Outgoing) -> dict[str, str]:
    """What the person reads: `title`, where there is one, and `body`."""
    content = outgoing.content
    return {**({"title": content.subject} if content.subject else {}), "body": content.body}


def size(payload: object) -> int:
    """Bytes of it as JSON."""
    return len(msgspec.json.encode(payload))


def seconds_kept(outgoing: Outgoing) -> int:
    """For how long a service should keep what it can't deliver yet."""
    return max(0, min(LONGEST, int(outgoing.lifetime)))


def is_urgent(outgoing: Outgoing) -> bool:
    """What answers the person may wake the device; anything else waits until it is awake."""
    return outgoing.category == "transactional"
