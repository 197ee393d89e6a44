"""Before a provider is called: is it well (`breaker.py`), and is there a slot (`slots.py`)?

Neither question is asked in the way of others: what waits here takes no room of the worker, and how much of a
provider's messages is claimed follows from how much of it can go (`lanes.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from uuid import UUID

from comms.actions.house import House
from comms.actions.setup import Account
from comms.dispatch.breaker import Breakers
from comms.dispatch.gate import Slot
from comms.dispatch.instants import Instants
from comms.dispatch.slots import Slots
from comms.dispatch.work import PutOff, Work
from comms.providers.base import Outcome
from comms.store.breaker import Key

_SHORTEST_REST = 1.0

NO_SLOT = PutOff("provider_limit", 0.0)
RESTS = PutOff("provider_rests", _SHORTEST_REST)


@dataclass(slots=True)
class Leave:
    """To make one call, unless it is barred by then."""

    account: Account
    brand_id: str
    slot: Slot
    probes: frozenset[Key]
    breakers: Breakers

    def is_barred(self) -> bool:
        """Has the provider become ill meanwhile?"""
        return self.breakers.is_barred(self.account, self.brand_id, self.probes)

    def heard(self, outcome: Outcome) -> None:
        """What the call brought."""
        self.breakers.heard(self.account, self.brand_id, outcome, self.probes)


class Admission:
    """Of one worker. `has_room` is called where there may be room for more of a provider's messages."""

    def __init__(
        self, house: House, owner: UUID, instants: Instants, has_room: Callable[[Hashable], None]
    ) -> None:
        self.breakers = Breakers(house, owner)
        self.slots = Slots(house, owner, instants)
        self._call_seconds = house.settings.lease_seconds / 3
        self._has_room = has_room
        self._coming: defaultdict[Hashable, int] = defaultdict(int)
        self._whose: dict[UUID, Hashable] = {}

    async def admit(self, work: Work, account: Account) -> Leave | None:
        """None where no call may be made now, as `work.put_off` says then."""
        brand_id = work.brand.brand_id
        probes = await self.breakers.admit(account, brand_id)
        if probes is None:
            rest = self.breakers.rest(account, brand_id) or 0.0
            work.put_off = RESTS._replace(seconds=max(rest, _SHORTEST_REST))
            return None
        slot = await self.slots.take(account, work.due_at, work.lease_ends - self._call_seconds)
        self.arrived(work.id)
        if slot is None:
            work.put_off = NO_SLOT
            return None
        return Leave(account, brand_id, slot, probes, self.breakers)

    def expect(self, room: Hashable, message_id: UUID) -> None:
        """Claimed, and on its way to a provider that makes it wait."""
        self._coming[room] += 1
        self._whose[message_id] = room

    def arrived(self, message_id: UUID) -> None:
        """It has its slot, or will get none."""
        if message_id in self._whose:
            room = self._whose.pop(message_id)
            self._coming[room] -= 1
            self._has_room(room)

    def coming(self, room: Hashable) -> int:
        """So many are on their way there."""
        return self._coming[room]

    def waiting(self) -> int:
        """So many are on their way to any provider that makes them wait."""
        return len(self._whose)

    async def settled(self) -> None:
        """Return when no slot is in use, and the other workers can know what this one knows."""
        await self.slots.given_back()
        await self.breakers.told()
