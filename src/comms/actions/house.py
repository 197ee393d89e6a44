"""What every action is handed: the things that a process builds once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from comms.actions.acceptor import Acceptor
from comms.actions.doorbell import Doorbell
from comms.actions.introspection import Introspection
from comms.actions.person_keys import PersonKeys
from comms.actions.rates import Rates
from comms.actions.setup import Setup
from comms.clock import Clock
from comms.metrics import Metrics
from comms.providers.http import Http
from comms.providers.outward import Outward
from comms.providers.webhooks import Webhooks
from comms.settings import Settings
from comms.store.database import Database
from comms.traces import Traces


@dataclass(frozen=True, slots=True)
class House:
    """Database, set-up, clock, settings, and the door through which messages are accepted."""

    database: Database
    setup: Setup
    acceptor: Acceptor
    clock: Clock
    settings: Settings
    webhooks: Webhooks = field(default_factory=lambda: Webhooks(Http()))
    """Reads providers' calls; who builds a house closes its connections."""
    metrics: Metrics = field(default_factory=Metrics)
    """What this process counts of itself."""
    traces: Traces = field(default_factory=Traces)
    """Whom it tells what it does, and how long that takes; who builds a house closes it."""
    outward: Outward = field(default_factory=Outward)
    """Calls to those who want to hear of events."""
    platform: Introspection | None = None
    """Knows the tokens that are not ours; None: there are no others."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process ends: nothing new is begun, and who waits is told what is known."""
    doorbell: Doorbell = field(init=False)
    """Wakes who waits for an inbox to change."""
    keys: PersonKeys = field(init=False)
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        """What follows from the others; the class is frozen."""
        keys = PersonKeys(self.database, self.setup, self.clock)
        object.__setattr__(self, "keys", keys)
        doorbell = Doorbell(self.database, self.setup, self.draining)
        object.__setattr__(self, "doorbell", doorbell)
        object.__setattr__(self, "rates", Rates(self.setup, self.clock, self.settings))
