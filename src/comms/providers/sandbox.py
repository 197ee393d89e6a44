"""The sandbox: takes everything, sends nothing, and misbehaves on request.

What a recipient makes it do is read off the e-mail's local part, the number's last four
digits, or the end of a device's or person's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected, TryLater
from comms.providers.events import Event, Happening
from comms.providers.kind import Kind, NoSettings

REJECT, FLAKY, SLOW, LOST, BOUNCE = "reject", "flaky", "slow", "lost", "bounce"

_DIGITS = {"0001": REJECT, "0002": FLAKY, "0003": SLOW, "0004": LOST, "0005": BOUNCE}
_FLAKY_REFUSALS = 2
_SLOW_SECONDS = 5.0
_BOUNCE_SECONDS = 0.5


class Sandbox:
    """Keeps what it was handed. A lost answer here can be neither asked again nor looked up."""

    def __init__(
        self,
        keep: Callable[[Outgoing], Awaitable[None]],
        hear: Callable[[str, list[Happening]], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._keep = keep
        self._hear = hear
        self._sleep = sleep
        self._now = now
        self._later: set[asyncio.Task[None]] = set()

    async def send(self, outgoing: Outgoing) -> Outcome:
        """What the recipient asks for; anything else is taken."""
        trick = _trick(outgoing)
        if trick == REJECT:
            return Rejected("recipient_rejected")  # no bad_recipient: it must be refused another time, too
        if trick == FLAKY and outgoing.attempt <= _FLAKY_REFUSALS:
            return TryLater("busy", of_message=True)
        if trick == SLOW:
            await self._sleep(_SLOW_SECONDS)
        await self._keep(outgoing)
        if trick == LOST:
            return Lost("answer_lost", of_message=True)
        if trick == BOUNCE:
            task = asyncio.create_task(self._bounce(outgoing))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        return Accepted(outgoing.key)

    async def close(self) -> None:
        """What was to be reported is reported."""
        await asyncio.gather(*self._later)

    async def _bounce(self, outgoing: Outgoing) -> None:
        """As bounces do: after the message was taken."""
        await self._sleep(_BOUNCE_SECONDS)
        bounced = Event(
            id=f"{outgoing.key}/bounced",
            event="bounced",
            at=self._now(),
            key=outgoing.key,
            recipient=outgoing.recipient,
            for_good=True,
        )
        await self._hear(outgoing.provider_id, [bounced])


def _trick(outgoing: Outgoing) -> str | None:
    if outgoing.channel == "sms":
        return _DIGITS.get(outgoing.recipient[-4:])
    if outgoing.channel == "email":
        local = outgoing.recipient.rpartition("@")[0].lower()
        return local if local in _DIGITS.values() else None
    names = (outgoing.recipient.lower(), outgoing.person_id.lower())
    return next((trick for trick in _DIGITS.values() if any(name.endswith(trick) for name in names)), None)


KIND = Kind(
    channels=frozenset(["email", "sms", "push", "in_app"]),
    settings=NoSettings,
    secrets=frozenset(),
    idempotent=False,
    build=lambda _settings, _secrets, tools: Sandbox(
        tools.keep_in_sandbox, tools.hear, tools.sleep, tools.now
    ),
)
