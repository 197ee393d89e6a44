"""A vendor of texts on this machine, which takes each message and answers 50 ms later.

    python -m bench.vendor

Prints its address, then answers until SIGTERM.
"""

from __future__ import annotations

import asyncio
import itertools
import signal

import uvloop
from aiohttp import web

SECONDS = 0.05


async def _main() -> None:
    numbers = itertools.count(1)

    async def take(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(SECONDS)
        return web.json_response({"sid": f"SM{next(numbers)}"}, status=201)

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(_main())
