"""A worker whose sandbox notes the instant at which it is handed a message, and does nothing else.

    python -m bench.worker

Works until SIGTERM, then prints `[[message_id, nanoseconds since 1970], ...]`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from uuid import UUID

import msgspec
import uvloop

from comms import settings, telemetry, wiring
from comms.clock import Clock
from comms.dispatch.worker import Worker
from comms.privacy.keyring import MasterKey
from comms.providers.base import Outgoing


async def _main(dsn: str, given: settings.Settings, key: MasterKey) -> None:
    left: list[tuple[UUID, int]] = []

    async def note(outgoing: Outgoing) -> None:
        left.append((outgoing.message_id, time.time_ns()))

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with wiring.house(dsn, given, key, Clock()) as house, wiring.tools(house) as given_tools:
        tools = dataclasses.replace(given_tools, keep_in_sandbox=note)
        print("bench worker runs", flush=True)
        await Worker(house, tools).run(stopped, dsn)
    print(msgspec.json.encode(left).decode())


if __name__ == "__main__":
    in_force = settings.load()
    telemetry.set_up(in_force.log_level)
    master = wiring.master_key(in_force)
    with wiring.database(in_force) as found:
        uvloop.run(_main(found.dsn, in_force, master))
