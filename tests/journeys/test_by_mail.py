"""The main journey with a real mail server at its end."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from comms.actions import acceptance, brands, messages, suppressions
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.testing import FakeClock
from tests.journeys.story import ask, status
from tests.providers.smtp_servers import mails, sink

pytestmark = pytest.mark.anyio


async def route_mail(house: House, caller: Caller, port: int) -> None:
    settings = {"host": "localhost", "port": port, "tls": "none"}
    shared = {"baa": False, "limits": {}, "brands": None}
    await brands.put_provider(house, caller, "mail", "smtp", settings, {}, **shared)  # type: ignore[arg-type]
    brand = await house.setup.require_brand("loop")
    routes = msgspec.structs.replace(brand.settings.routes, email=["mail"])
    await brands.put_brand(house, caller, "loop", msgspec.structs.replace(brand.settings, routes=routes))


async def test_a_scheduled_message_is_in_the_mailbox_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    with sink(tmp_path) as port:
        await route_mail(house, loop_health, port)
        made = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
        clock.advance(300)
        assert [await worker.once(), await worker.once()] == [1, 0]
    [(mail, _)] = mails(tmp_path)
    assert (mail["Subject"], mail["From"]) == ("Your visit", "Loop <care@loop.test>")
    assert mail["Message-ID"] == f"<{made['id']}-0@loop.test>"
    assert await status(house, loop_health, made["id"]) == "sent"


async def test_a_lost_answer_is_unknown_and_not_sent_again(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    with sink(tmp_path, "-q", ".") as port:  # hangs up where the answer to the final dot should come
        await route_mail(house, loop_health, port)
        made = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
        clock.advance(300)
        assert await worker.once() == 1
        clock.advance(3600)
        assert await worker.once() == 0
    assert await status(house, loop_health, made["id"]) == "unknown"


async def test_a_mailbox_that_is_not_there_is_written_to_once(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    keys = [("a", "Ada@example.org"), ("b", "bob@example.org")]
    with sink(tmp_path, "-f", "RCPT", "-B", "550 5.1.1 unknown") as port:
        await route_mail(house, loop_health, port)
        requests = [ask(clock, "email", dedup_key=key, recipient=address) for key, address in keys]
        made = [(await acceptance.schedule(house, loop_health, each)).message for each in requests]
        clock.advance(300)
        await worker.once()
        again = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
        clock.advance(300)
        await worker.once()
    assert [await status(house, loop_health, each["id"]) for each in made] == ["failed"] * 2
    shown = await messages.get_scheduled(house, loop_health, UUID(again["id"]))
    assert (shown["status"], shown["failure_reason"]) == ("suppressed", "suppressed_hard_bounce")
    assert await house.database.owner.fetchval("select count(*) from suppression") == 2
    standing = await suppressions.of_address(house, loop_health, "loop", "ada@example.org")
    assert standing
    assert (standing["email"], standing["source"]) == ("Ada@example.org", f"message {made[0]['id']}")


async def test_a_refusal_that_is_not_about_the_mailbox_suppresses_nothing(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    with sink(tmp_path, "-f", "RCPT", "-B", "550 5.7.1 policy") as port:
        await route_mail(house, loop_health, port)
        made = (await acceptance.schedule(house, loop_health, ask(clock, "email"))).message
        clock.advance(300)
        await worker.once()
    assert await status(house, loop_health, made["id"]) == "failed"
    assert await suppressions.of_address(house, loop_health, "loop", "ada@example.org") is None
