"""Every kind of provider, in plain sight: what it carries, what it is told, how it is built."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from comms.domain.complaints import explain
from comms.domain.errors import Refused
from comms.providers.base import Outgoing, Provider
from comms.providers.inbox import Inbox
from comms.providers.sandbox import Sandbox
from comms.providers.smtp import Smtp, SmtpSettings


@dataclass(frozen=True, slots=True)
class Tools:
    """What a provider may be handed of the house: functions, never the store."""

    put_in_inbox: Callable[[Outgoing], Awaitable[None]]
    keep_in_sandbox: Callable[[Outgoing], Awaitable[None]]
    report: Callable[[Outgoing, str], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]]
    now: Callable[[], datetime]


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """For kinds that need none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `build` takes the settings, the secrets by name and the tools.

    `needs_sender`: a brand without a sender for the channel can't use it. `may_carry_phi` looks at the
    settings: a provider with a BAA on a line that anybody can read is none.
    """

    channels: frozenset[str]
    settings: type[Struct]
    secrets: frozenset[str]
    idempotent: bool
    build: Callable[[Any, dict[str, str], Tools], Provider]
    needs_sender: bool = False
    may_carry_phi: Callable[[dict[str, Any]], bool] = lambda _: True


_ALL = frozenset(["email", "sms", "push", "in_app"])

KINDS: dict[str, Kind] = {
    "inbox": Kind(
        frozenset(["in_app"]),
        NoSettings,
        frozenset(),
        Inbox.idempotent,
        lambda _s, _k, t: Inbox(t.put_in_inbox),
    ),
    "sandbox": Kind(
        _ALL,
        NoSettings,
        frozenset(),
        Sandbox.idempotent,
        lambda _s, _k, t: Sandbox(t.keep_in_sandbox, t.report, t.sleep),
    ),
    "smtp": Kind(
        frozenset(["email"]),
        SmtpSettings,
        frozenset(["password"]),
        Smtp.idempotent,
        lambda s, k, t: Smtp(s, k.get("password"), t.now),
        needs_sender=True,
        may_carry_phi=lambda settings: settings.get("tls") != "none",
    ),
}


def check(kind: str, settings: dict[str, Any], secrets: set[str]) -> None:
    """422 `invalid_settings` or `unknown_kind`, naming the member, never its value."""
    if kind not in KINDS:
        raise Refused(
            422, "unknown_kind", f"There is no such kind of provider; there are {', '.join(sorted(KINDS))}."
        )
    found = KINDS[kind]
    names = {field.name for field in msgspec.structs.fields(found.settings)}
    _refuse_unknown("settings", set(settings), names)
    _refuse_unknown("secrets", secrets, set(found.secrets))
    try:
        msgspec.convert(settings, found.settings)
    except msgspec.ValidationError as error:
        why = explain(str(error), found.settings, "settings")
        raise Refused(422, "invalid_settings", f"settings: {why.message}") from None


def build(kind: str, settings: dict[str, Any], secrets: dict[str, str], tools: Tools) -> Provider:
    """A provider, ready to send; its settings were checked when they were stored."""
    found = KINDS[kind]
    return found.build(msgspec.convert(settings, found.settings), secrets, tools)


def _refuse_unknown(member: str, given: set[str], known: set[str]) -> None:
    for name in sorted(given - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)
        hint = f"did you mean {near[0]}?" if near else "this kind takes none."
        raise Refused(422, "invalid_settings", f"{member} has a member that this kind does not know; {hint}")
