"""Every kind of provider, one line each. What a kind carries, is told and needs stands in its own file."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

import msgspec

from comms.domain.complaints import explain
from comms.domain.errors import Refused
from comms.providers.base import Provider
from comms.providers.kind import Kind, Tools

_FILES = (
    "apns",
    "expo",
    "fcm",
    "inbox",
    "mailgun",
    "postmark",
    "resend",
    "sandbox",
    "sendgrid",
    "ses",
    "smpp",
    "smtp",
    "sns",
    "telnyx",
    "twilio",
    "vonage",
    "webpush",
)

KINDS: dict[str, Kind] = {name: import_module(f"comms.providers.{name}").KIND for name in _FILES}
"""By the name of the file, which is the kind's."""


def check(kind: str, settings: dict[str, Any], secrets: set[str]) -> None:
    """422 `invalid_settings` or `unknown_kind`, naming the member, never its value."""
    if kind not in KINDS:
        raise Refused(
            422, "unknown_kind", f"There is no such kind of provider; there are {', '.join(sorted(KINDS))}."
        )
    found = KINDS[kind]
    names = {field.encode_name for field in msgspec.structs.fields(found.settings)}
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
