"""The person's own inbox, as a provider: the only channel on which once is really once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from comms.providers.base import Accepted, Outcome, Outgoing
from comms.providers.kind import Kind, NoSettings


class Inbox:
    """Writes the item through the function it is handed; the row's key is the message's id."""

    def __init__(self, put: Callable[[Outgoing], Awaitable[None]]) -> None:
        self._put = put

    async def send(self, outgoing: Outgoing) -> Outcome:
        """The item is there, once, however often this is called."""
        await self._put(outgoing)
        return Accepted(str(outgoing.message_id))

    async def close(self) -> None:
        """Nothing is held."""


KIND = Kind(
    channels=frozenset(["in_app"]),
    settings=NoSettings,
    secrets=frozenset(),
    idempotent=True,
    build=lambda _settings, _secrets, tools: Inbox(tools.put_in_inbox),
)
