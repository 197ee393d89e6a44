"""What may go wrong of a night, as F1 to F23 of the plan number it. Each mends again what it breaks.

Faults of processes are here, those of the database and of the line to it in `outside.py`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable

from tests.cli.service import COMMAND, Service
from tests.faults.proxy import Point
from tests.faults.rig import LEASE, Rig

Fault = Callable[[Rig], Awaitable[None]]

ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}
POINTS = {
    "accept": b"insert into dedup",
    "claim": b"set state = 'sending'",
    "mark": b"insert into delivery",
    "record": b"case g.event when 'accept' then 'sent'",
    "put back": b"uncounted = uncounted + (not g.counts)",
    "rescue": b"'worker_lost'",
    "cancel": b"-- cancel",
    "change": b"revision = revision + 1",
}
"""Words of the statements before and after whose commit somebody dies or stops."""

_PATIENCE = 3.0


async def worker_dies(rig: Rig) -> None:
    """F1. kill -9, and another comes."""
    rig.chance.choice(rig.workers).kill()
    await rig.replace_the_dead()


async def worker_pauses(rig: Rig) -> None:
    """F3. SIGSTOP, for half a lease to three."""
    await _pause(rig, rig.chance.choice(rig.workers))


async def somebody_dies_at_a_point(rig: Rig) -> None:
    """F2, F4. kill -9 before a statement is sent or after its commit, before a provider's taking or after it."""
    for _ in range(3):
        await _at_a_point(rig, lambda service: service.process.send_signal(signal.SIGKILL))
        await rig.replace_the_dead()


async def somebody_stops_at_a_point(rig: Rig) -> None:
    """F3. SIGSTOP at such a point."""
    if stopped := await _at_a_point(rig, lambda service: service.process.send_signal(signal.SIGSTOP)):
        await _pause(rig, stopped)


async def api_dies(rig: Rig) -> None:
    """F4. kill -9, while it is asked."""
    rig.chance.choice(rig.apis).kill()
    await rig.replace_the_dead()


async def machine_s_clock_is_wrong(rig: Rig) -> None:
    """F14. A worker an hour ahead or behind, and an API by twenty seconds: its bounds go by its own clock."""
    worker, api = rig.chance.randrange(len(rig.workers)), rig.chance.randrange(len(rig.apis))
    hour, moment = rig.chance.choice([-3600, 3600]), rig.chance.choice([-20, 20])
    await _replace(rig, worker, api, rig.off(hour), rig.off(moment))
    await asyncio.sleep(2)
    await _replace(rig, worker, api, {}, {})


async def machine_is_elsewhere(rig: Rig) -> None:
    """F23. A worker and an API in Kathmandu, where Turkish is spoken."""
    await _replace(rig, rig.chance.randrange(len(rig.workers)), 0, ELSEWHERE, ELSEWHERE)


async def everybody_is_replaced(rig: Rig) -> None:
    """F21. SIGTERM for one after the other, while another comes: a deployment."""
    for n, old in enumerate(rig.workers):
        rig.workers[n] = await rig.start_worker()
        await _drained(old)
    for n, old in enumerate(rig.apis):
        await _drained(old)
        rig.apis[n] = await rig.start_api(n)


async def files_run_out(rig: Rig) -> None:
    """F19. No process of a worker and an API may open one file more."""
    found = [rig.chance.choice(rig.workers), rig.chance.choice(rig.apis)]
    for service in found:
        opened = len(os.listdir(f"/proc/{service.process.pid}/fd"))  # noqa: PTH208 - /proc never waits
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (opened, _most(service)))
    rig.proxy.cut()  # so that they want new ones
    await asyncio.sleep(2.5)
    for service in found:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (_most(service), _most(service)))


async def keys_are_away(rig: Rig) -> None:
    """F22. The directory of the epoch keys can't be found, and a worker dies meanwhile."""
    away = rig.epochs.with_name("away")
    rig.epochs.rename(away)
    rig.chance.choice(rig.workers).kill()
    early = Service(rig.folder, "worker", **rig.variables)
    await asyncio.sleep(2)
    early.end()
    away.rename(rig.epochs)
    await rig.replace_the_dead()


async def keys_are_rotated(rig: Rig) -> None:
    """F22. A brand gets a new key, all is sealed anew, the older one is destroyed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMMS_")}
    command = [str(COMMAND), "keys", "rotate", "--brand", "loop"]
    rotating = await asyncio.create_subprocess_exec(
        *command,
        env=kept | rig.variables,
        cwd=rig.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    await rotating.wait()


async def provider_is_moody(rig: Rig) -> None:
    """F15, F17. Slow, busy, lost answers."""
    rig.provider.mood = "moody"
    await asyncio.sleep(4)


async def provider_is_ill(rig: Rig) -> None:
    """F16. Nothing is taken for a while."""
    rig.provider.mood = "ill"
    await asyncio.sleep(2)


async def _at_a_point(rig: Rig, act: Callable[[Service], None]) -> Service | None:
    """Whoever reaches a point that is drawn by lot, if somebody does soon."""
    reached: list[Service] = []

    def reach(port: int) -> None:
        if not reached and (found := rig.whose(port)):
            reached.append(found)
            act(found)

    name, is_after = rig.chance.choice([*POINTS, "call"]), rig.chance.random() < 0.5
    if name == "call":
        rig.provider.at(reach, is_after=is_after)
    else:
        rig.proxy.at(Point(POINTS[name], is_after, reach))
    ends = time.monotonic() + _PATIENCE
    while not reached and time.monotonic() < ends:  # noqa: ASYNC110 - it may never happen
        await asyncio.sleep(0.01)
    rig.proxy.disarm()
    rig.provider.disarm()
    if reached:
        rig.points[f"{'after' if is_after else 'before'} {name}"] += 1
        await asyncio.sleep(0.01)  # a signal takes a moment
    return reached[0] if reached else None


async def _pause(rig: Rig, service: Service) -> None:
    os.killpg(service.process.pid, signal.SIGSTOP)
    await asyncio.sleep(LEASE * rig.chance.choice([0.5, 1.0, 1.5, 3.0]))
    os.killpg(service.process.pid, signal.SIGCONT)


async def _replace(rig: Rig, worker: int, api: int, its: dict[str, str], others: dict[str, str]) -> None:
    rig.workers[worker].kill()
    rig.apis[api].kill()
    rig.workers[worker], rig.apis[api] = await asyncio.gather(
        rig.start_worker(**its), rig.start_api(api, **others)
    )


async def _drained(service: Service) -> None:
    service.terminate()
    await asyncio.to_thread(service.status)


def _most(service: Service) -> int:
    return resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)[1]
