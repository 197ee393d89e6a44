"""The main journey with a real mail server at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import acceptance, brands, messages, suppressions
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.http.app import application
from comms.testing import FakeClock
from tests.journeys.story import ask, events, status
from tests.providers.smtp_servers import mails, postfix, sink

pytestmark = pytest.mark.anyio


async def route_mail(house: House, caller: Caller, port: int, **more: str) -> None:
    settings = {"host": "localhost", "port": port, "tls": "none", **more}
    shared: Any = {"baa": False, "limits": {}, "brands": None}
    await brands.put_provider(house, caller, "mail", "smtp", settings, {"webhook_secret": "pw"}, **shared)
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


async def arrived(folder: Path, many: int) -> list[bytes]:
    """So many reports in a sink's folder, each whole: without the lines in which it noted the envelope."""
    async with asyncio.timeout(20):
        while len(kept := _whole(folder)) < many:  # noqa: ASYNC110 - a Postfix says nothing to us
            await asyncio.sleep(0.05)
    return [each[each.index(b"Received:") :] for each in kept]


def _whole(folder: Path) -> list[bytes]:
    kept = (each.read_bytes().rstrip() for each in folder.glob("m.*"))
    return [each for each in kept if each.endswith(b"--")]


async def test_what_a_mail_server_reports_comes_back_through_the_front_door(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker, tmp_path: Path
) -> None:
    """Postfix takes both mails; the next server has no such mailbox for one, and offers no DSN for the other."""
    gone, fine, back, relay = (tmp_path / name for name in ("gone", "fine", "back", "relay"))
    for folder in (gone, fine, back, relay):
        folder.mkdir()
    refuses = ("-f", "RCPT", "-B", "550 5.1.1 unknown")
    with sink(gone, *refuses) as to_gone, sink(fine, "-N") as to_fine, sink(back) as to_back:
        routes = {"gone.test": to_gone, "fine.test": to_fine, "back.test": to_back}
        with postfix(relay, routes) as port:
            await route_mail(house, loop_health, port, dsn="all", return_path="bounces@back.test")
            made = {}
            for host in ("gone.test", "fine.test"):
                request = ask(clock, "email", recipient=f"ada@{host}", dedup_key=host)
                made[host] = (await acceptance.schedule(house, loop_health, request)).message["id"]
            clock.advance(300)
            await worker.once()
            assert {await status(house, loop_health, each) for each in made.values()} == {"sent"}
            reports = await arrived(back, 2)
    transport = httpx.ASGITransport(application(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://comms.example") as server:
        for report in reports * 2:
            forged = await server.post("/v1/webhooks/mail", content=report, auth=("comms", "wrong"))
            answer = await server.post("/v1/webhooks/mail", content=report, auth=("comms", "pw"))
            assert (forged.status_code, answer.status_code) == (401, 200)
            assert answer.json() == {"received": 1}
    assert (await events(house, loop_health, made["gone.test"]))[-2:] == ["sent", "bounced"]
    assert (await events(house, loop_health, made["fine.test"]))[-1] == "sent"  # relayed: nobody says more
    standing = await suppressions.of_address(house, loop_health, "loop", "ada@gone.test")
    assert standing
    assert (standing["reason"], standing["source"]) == ("hard_bounce", f"message {made['gone.test']}")
    assert await suppressions.of_address(house, loop_health, "loop", "ada@fine.test") is None
