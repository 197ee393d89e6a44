"""Commands that act on the database themselves, whether the service runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

from comms import wiring
from comms.actions.house import House
from comms.cli.shared import stop
from comms.clock import Clock
from comms.domain.caller import ANY, Caller
from comms.settings import Settings

Result = TypeVar("Result")

OPERATOR = Caller("operator", ANY, frozenset(["admin:comms"]), uuid4())
"""Who sits at the machine, with the master key at hand."""


def act(
    settings: Settings, work: Callable[[House], Awaitable[Result]], *, may_set_up: bool = False
) -> Result:
    """Run `work` on the database that the settings name, started for the time being if need be.

    A data directory that is empty is most likely misspelt: only `may_set_up` fills it.
    """
    if not may_set_up and settings.database_url is None and not (settings.data_dir / "postgres").exists():
        stop(f"Nothing is set up in {settings.data_dir}: name another --data-dir, or run comms serve.")
    key = wiring.master_key(settings)
    with wiring.database(settings) as found:

        async def main() -> Result:
            await wiring.bring_up_to_date(found.dsn)
            async with wiring.house(found.dsn, settings, key, Clock()) as house:
                return await work(house)

        return asyncio.run(main())
