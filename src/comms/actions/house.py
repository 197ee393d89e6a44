"""What every action is handed: the things that a process builds once."""

from __future__ import annotations

from dataclasses import dataclass

from comms.actions.acceptor import Acceptor
from comms.actions.setup import Setup
from comms.clock import Clock
from comms.settings import Settings
from comms.store.database import Database


@dataclass(frozen=True, slots=True)
class House:
    """Database, set-up, clock, settings, and the door through which messages are accepted."""

    database: Database
    setup: Setup
    acceptor: Acceptor
    clock: Clock
    settings: Settings
