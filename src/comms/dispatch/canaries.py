"""Sends canaries, and looks what became of them: any worker does, and each is sent by one."""

from __future__ import annotations

import asyncio

import structlog

from comms.actions import watching
from comms.actions.house import House

log = structlog.get_logger()

_EVERY = 1.0


async def keep_canaries(house: House) -> None:
    """Until cancelled."""
    while True:
        try:
            await watching.keep(house)
        except Exception as error:  # noqa: BLE001 - the database is away, mostly: it is repeated
            log.warning("canaries_wait", problem=type(error).__name__)
        await asyncio.sleep(_EVERY)
