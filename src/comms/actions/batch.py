"""Many requests of one call: under way together, answered as if each had waited for the one before it."""

from __future__ import annotations

import asyncio

from comms.actions import acceptance
from comms.actions.house import House
from comms.domain.caller import Caller
from comms.domain.errors import Unavailable

_Key = tuple[str, str]


class Batch:
    """Requests of one key go one after the other; all others need not wait for each other."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._last: dict[_Key, asyncio.Event] = {}

    async def schedule(self, caller: Caller, request: acceptance.Request) -> acceptance.Accepted:
        """Accept a message; the order of one key's requests is that in which this was begun."""
        key, done = (request.brand_id, request.dedup_key), asyncio.Event()
        before, self._last[key] = self._last.get(key), done
        try:
            if before is not None:
                await before.wait()
            if self._house.draining.is_set():
                raise Unavailable
            return await acceptance.schedule(self._house, caller, request, bulk=True)
        finally:
            done.set()
            if self._last[key] is done:
                del self._last[key]
