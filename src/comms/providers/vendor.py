"""What all vendors with an HTTP API have in common: make a request, call once, read the answer.

A vendor's own file says how a delivery becomes a request, and what the vendor's codes mean.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote_plus

import msgspec
from msgspec import Meta, Struct

from comms.providers.base import Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.events import ParseEvents
from comms.providers.http import Answer, Http, Request
from comms.providers.kind import Kind, needing

BaseUrl = Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/?(?!\n)$")]
"""Scheme and host; the vendor's path follows it."""

SmsFrom = Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{6,14}|[0-9]{3,15}|[A-Za-z0-9 ]{1,11})(?!\n)$")]
"""Who a text comes from: a number, a short code or a name of eleven characters (GSM 03.38)."""

S = TypeVar("S", bound=Struct)

_quoted = lru_cache(maxsize=256)(quote_plus)
"""Of the names of fields, which are few and ours."""

Compose = Callable[[S, Mapping[str, str], Outgoing], Request | Rejected | Misconfigured]
"""How a delivery becomes a request. What the vendor would refuse in any case is refused here."""


class Vendor(Generic[S]):
    """One account at one vendor."""

    def __init__(
        self,
        compose: Compose[S],
        read: Callable[[Answer], Outcome],
        settings: S,
        needed: frozenset[str],
        secrets: Mapping[str, str],
        http: Http,
    ) -> None:
        self._compose = compose
        self._read = read
        self._settings = settings
        self._secrets = secrets
        self._wrong = wrong_secret(needed, secrets)
        self._is_encrypted = is_encrypted(msgspec.to_builtins(settings))
        self._http = http

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the delivery over, once."""
        if self._wrong:
            return Misconfigured(self._wrong)
        if outgoing.hipaa and not self._is_encrypted:
            return Misconfigured("tls_required")
        request = self._compose(self._settings, self._secrets, outgoing)
        if not isinstance(request, Request):
            return request
        answer = await self._call(request, outgoing.seconds)
        return self._read(answer) if isinstance(answer, Answer) else answer

    async def close(self) -> None:
        """The connections are the process's."""

    async def _call(
        self, request: Request, seconds: float
    ) -> Answer | Rejected | TryLater | Misconfigured | Lost:
        """One call, `seconds` in all."""
        return await self._http.post(request, seconds)


def vendor_kind(
    channel: str,
    settings: type[S],
    secrets: list[str],
    compose: Compose[S],
    read: Callable[[Answer], Outcome],
    *,
    key_lasts: float = 0.0,
    parse_events: ParseEvents | None = None,
    webhook_secrets: Collection[str] = (),
    echoes_key: bool = True,
    thanks: tuple[str, bytes] | None = None,
) -> Kind:
    """A vendor of one channel. `secrets` are all needed; `webhook_secrets` only to read its events.

    `key_lasts`: seconds; 0 where it has no key. `echoes_key` and `thanks`: see `Kind`.
    """
    needed = frozenset(secrets)
    return Kind(
        channels=frozenset([channel]),
        settings=settings,
        secrets=needed.union(webhook_secrets),
        idempotent=key_lasts > 0,
        build=lambda given, held, tools: Vendor(compose, read, given, needed, held, tools.http),
        key_lasts=key_lasts,
        needs_sender=channel == "email",
        may_carry_phi=is_encrypted,
        lacks=needing(*secrets),
        parse_events=parse_events,
        echoes_key=echoes_key,
        thanks=thanks,
    )


@dataclass(frozen=True, slots=True)
class Meanings:
    """A vendor's codes by what they mean, each with what it is about. Other codes go by the status."""

    vendor: str
    bad_recipient: Mapping[Any, str] = field(default_factory=dict)
    refused: Mapping[Any, str] = field(default_factory=dict)
    later: Mapping[Any, str] = field(default_factory=dict)
    setup: Mapping[Any, str] = field(default_factory=dict)
    lost: Mapping[Any, str] = field(default_factory=dict)

    def of(self, answer: Answer, code: object = None) -> Outcome:
        """The outcome; of what the vendor said only a code that is known here becomes a reason."""
        if not isinstance(code, str | int):
            code = None
        reason = f"{self.vendor}_{code}"
        if code in self.bad_recipient or code in self.refused:
            return Rejected(reason, bad_recipient=code in self.bad_recipient)
        if code in self.later:
            return TryLater(reason, after=retry_after(answer))
        if code in self.setup:
            return Misconfigured(reason)
        if code in self.lost:
            return Lost(reason)
        return _by_status(answer, f"{self.vendor}_http_{answer.status}")


def retry_after(answer: Answer) -> float | None:
    """Seconds of `Retry-After` (RFC 9110, section 10.2.3); a date is measured by the vendor's own clock."""
    given = answer.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdecimal() and len(given) <= 9:
        return float(given)
    try:
        wait = parsedate_to_datetime(given) - parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())


def as_json(members: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """Body and headers; members that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return msgspec.json.encode(given), {"Content-Type": "application/json", **headers}


def as_form(fields: Mapping[str, str | None], headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The same, as a form."""
    given = [f"{_quoted(name)}={quote_plus(value)}" for name, value in fields.items() if value is not None]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return "&".join(given).encode(), {**kind, **headers}


def basic(user: str, password: str) -> dict[str, str]:
    """RFC 7617."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """RFC 6750."""
    return {"Authorization": f"Bearer {token}"}


def address(base_url: str, path: str) -> str:
    """The vendor's path below scheme and host."""
    return base_url.rstrip("/") + path


def _by_status(answer: Answer, reason: str) -> Outcome:
    """Where the vendor's codes say nothing more. From 500 on nobody knows how far it had come."""
    status = answer.status
    if status in {408, 425, 429}:
        return TryLater(reason, after=retry_after(answer))
    if status == 413:
        return Rejected("too_large")
    if status in {401, 402, 403, 404, 405, 406, 407, 410, 415, 451} or 300 <= status < 400:
        return Misconfigured(reason)  # the key, the account, or the address that we call
    if 400 <= status < 500:  # where it can't be read, it need not have been the vendor that refused
        return Rejected(reason) if answer.members else TryLater(reason)
    return Lost(reason)


def wrong_secret(needed: Collection[str], secrets: Mapping[str, str]) -> str | None:
    """A code for one that is missing, or no header's word; None where all are well."""
    for name in sorted(needed):
        if not secrets.get(name):
            return f"{name}_missing"
        if not (secrets[name].isascii() and secrets[name].isprintable()):
            return f"{name}_malformed"
    return None


def is_encrypted(settings: Mapping[str, Any]) -> bool:
    """Is the line one that nobody can read? A vendor's own address is."""
    return str(settings.get("base_url") or "https:").startswith("https:")
