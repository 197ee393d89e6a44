"""What a kind of provider says of itself, and what it may be handed of the house."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct

from comms.providers.base import Outgoing, Provider
from comms.providers.events import Happening, ParseEvents
from comms.providers.http import Http


@dataclass(frozen=True, slots=True)
class Tools:
    """What a provider may be handed of the house: functions and connections, never the store."""

    put_in_inbox: Callable[[Outgoing], Awaitable[None]]
    keep_in_sandbox: Callable[[Outgoing], Awaitable[None]]
    hear: Callable[[str, list[Happening]], Awaitable[None]]
    """What the provider of that id says without a webhook: receipts on a connection that it keeps."""

    sleep: Callable[[float], Awaitable[None]]
    now: Callable[[], datetime]
    http: Http


Lacks = Callable[[Mapping[str, Any], Collection[str]], str | None]
"""Of the settings and the names of the secrets that are held: the secret that is missing, or None."""


def needing(*names: str) -> Lacks:
    """Nothing can be sent without all of these."""
    return lambda _settings, held: next((name for name in names if name not in held), None)


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
    """A second call with the same `outgoing.key` is never a second message."""

    build: Callable[[Any, dict[str, str], Tools], Provider]
    devices: frozenset[str] | None = None
    """The kinds of device that a push reaches through it; None: all."""

    key_lasts: float = math.inf
    """Seconds for which the promise of `idempotent` is kept."""

    needs_sender: bool = False
    may_carry_phi: Callable[[dict[str, Any]], bool] = lambda _: True
    lacks: Lacks = lambda _settings, _held: None
    """What it can't send without, and has not: such an account counts as none where a message is accepted."""

    listens: bool = False
    """Its provider is a Listener: workers have it open its line as soon as they know of it."""

    parse_events: ParseEvents | None = None
    """Reads the provider's webhook; None where it has none."""

    echoes_key: bool = True
    """Its events carry our key. Where not, what it called each message is kept, to find it by."""

    thanks: tuple[str, bytes] | None = None
    """Content type and body that it wants for a text; None: what every webhook is answered."""
