"""Leave to call a provider that has limits, kept by all workers together.

A worker leases slots from the provider's row (`store/sql/pace.sql`, `lease`): how many calls it may have
under way, and instants at which it may begin one. Slots that come free here are used again here, without
asking (`gate.py`). What a dead worker held is free again when its lease ends; whoever wakes after that begins
nothing.

Never more than `per_second` begin in any second, whichever second one looks at. Instants are given away
(1 + d) / per_second apart, and a call begins at most d after its instant, or asks for another one. So between
any call and the one that comes `per_second` after it lies at least (1 + d) - d = 1 second.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from comms.actions.house import House
from comms.actions.setup import Account
from comms.dispatch.gate import Gate, Slot
from comms.dispatch.instants import Instants


class Slots:
    """Those of one worker, by provider."""

    def __init__(self, house: House, owner: UUID, instants: Instants) -> None:
        self._about = (house, owner, instants)
        self._gates: dict[str, Gate] = {}

    async def take(self, account: Account, due_at: datetime, until: float) -> Slot | None:
        """A slot for a message that is due then; None where there was none by `until` (monotonic)."""
        if not account.limits:
            return Slot()
        gate = self._gates.get(account.provider_id)
        if gate is None:
            gate = self._gates[account.provider_id] = Gate(*self._about, account.provider_id)
        gate.keep_to(account.limits)
        return await gate.slot(due_at, until)

    def stop(self) -> None:
        """Nobody gets a slot any more: whoever waits is told so."""
        for gate in self._gates.values():
            gate.stop()

    async def given_back(self) -> None:
        """Return when none is in use, and the others know."""
        await asyncio.gather(*(gate.idle() for gate in self._gates.values()))
