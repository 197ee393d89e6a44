"""A message centre that we did not write: smpp34's server, with its own codec in Rust. Its answers are a script."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.providers.peers import peer
from tests.providers.smtp_servers import free_port

smpp34 = peer("smpp34")

Answer = int | str
"""A status that refuses, or the id of what is taken."""


class Centre:
    """`said` is every segment, as the server's codec read it; `bound` every line, the last one the newest."""

    def __init__(self, server: Any, port: int, answer: Callable[[Any], Answer]) -> None:
        self.port = port
        self.said: list[Any] = []
        self.bound: list[Any] = []
        self.unbound = asyncio.Event()
        self.changed = asyncio.Condition()
        self._server = server
        self._answer = answer

    async def serve(self) -> None:
        while True:
            event = await self._server.next()
            if isinstance(event, smpp34.Esme):
                self.bound.append(event)
            elif isinstance(event, smpp34.SubmitSmEvent):
                self.said.append(event)
                answer = self._answer(event)
                event.accept(message_id=answer) if isinstance(answer, str) else event.reject(answer)
            else:
                self.unbound.set()
            async with self.changed:
                self.changed.notify_all()

    async def until(self, there: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with self.changed:
            await self.changed.wait_for(there)

    async def deliver(self, text: bytes, **fields: Any) -> int:
        """Hand something to whoever is bound; the status of the answer."""
        await self.until(lambda: bool(self.bound))
        addressed = {
            "source_addr": "15555550123", "source_addr_ton": 1, "source_addr_npi": 1,
            "destination_addr": "15555550100", "dest_addr_ton": 1, "dest_addr_npi": 1,
        }  # fmt: skip
        answer = await self.bound[-1].deliver_sm(short_message=text, **(addressed | fields))
        return int(answer.command_status)

    async def receipt(self, message_id: str, stat: str, **fields: Any) -> int:
        """As appendix B of the specification writes it."""
        text = f"id:{message_id} sub:001 dlvrd:001 submit date:3001011200 done date:3001011201 stat:{stat} err:042 text:Hi"
        return await self.deliver(text.encode(), esm_class=4, **fields)


@contextlib.asynccontextmanager
async def centre(answer: Callable[[Any], Answer] = lambda _: "7220", port: int = 0) -> AsyncIterator[Centre]:
    """The server, running."""
    port = port or free_port()
    server = smpp34.Server("127.0.0.1", port, system_id="SMSC")
    await server.start()
    running = Centre(server, port, answer)
    task = asyncio.create_task(running.serve())
    try:
        yield running
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await server.stop()
