"""What Prometheus is told: each figure moves when its thing happens, and none of them names anybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from comms.actions import bulk, messages, metrics, tokens
from comms.actions.acceptance import schedule
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.dispatch.sweep import sweep
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.http.app import application, observatory
from comms.metrics import ENDS
from comms.store.database import connect
from comms.store.statements import sql
from comms.testing import FakeClock
from tests.http.bad_inputs import GOOD
from tests.journeys.story import ask, tools

pytestmark = pytest.mark.anyio

Figures = Callable[..., float | None]

REMOTE = ("203.0.113.7", 50_000)
PAGE = Path(__file__).parents[2] / "docs" / "running.md"


def read(text: str) -> Figures:
    """Finds a sample by its name and labels; None where there is none."""
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return lambda name, **labels: found.get((f"comms_{name}", frozenset(labels.items())))


async def figures(house: House) -> Figures:
    return read((await metrics.scrape(house)).decode())


def caller_from(house: House, address: tuple[str, int], **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(house), client=address)
    return httpx.AsyncClient(transport=transport, base_url="http://comms.test", headers=headers)


async def due(house: House, caller: Caller, clock: FakeClock, **changes: Any) -> UUID:
    """A message that was accepted and whose time has come."""
    made = await schedule(house, caller, ask(clock, **changes))
    clock.advance(300)
    return UUID(made.message["id"])


async def test_what_is_accepted_is_counted_and_a_replay_apart(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    at = ask(clock)
    for request in (
        at,
        at,
        replace(at, dedup_key="other"),
        ask(clock, "email", scheduled_at=None, dedup_key="3"),
    ):
        await schedule(house, loop_health, request)
    now = await figures(house)
    assert now("accepted_total", kind="schedule", channel="sms", replayed="false") == 2
    assert now("accepted_total", kind="schedule", channel="sms", replayed="true") == 1
    assert now("accepted_total", kind="send", channel="email", replayed="false") == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scheduled_at": "never"}, "validation_error"),
        ({"template_key": "nothing"}, "template_not_found"),
        ({"variables": {}}, "missing_variables"),
    ],
)
async def test_a_refusal_is_counted_by_its_code(
    client: httpx.AsyncClient, house: House, changes: dict[str, Any], code: str
) -> None:
    await client.post("/v1/messages/schedule", json=GOOD | changes)
    now = await figures(house)
    assert (now("refused_total", code=code), now("refused_total", code="internal_error")) == (1, 0)


@pytest.mark.parametrize(
    ("number", "event", "outcome"),
    [
        ("+15555550123", "sent", "accepted"),
        ("+15555550001", "failed", "rejected"),
        ("+15555550002", "retried", "try_later"),
        ("+15555550004", "unknown", "lost"),
    ],
)
async def test_an_attempt_is_counted_by_provider_and_outcome_and_its_message_by_what_became_of_it(
    house: House, loop_health: Caller, clock: FakeClock, number: str, event: str, outcome: str
) -> None:
    await due(house, loop_health, clock, recipient=number)
    await Worker(house, tools(house)).once()
    now = await figures(house)
    assert now("claimed_total") == 1
    assert now("attempts_total", provider="sand", outcome=outcome) == 1
    assert now("provider_seconds_count", provider="sand") == 1
    assert {each: now("ended_total", event=each) for each in ENDS} == dict.fromkeys(ENDS, 0) | {event: 1}


async def test_a_record_that_came_too_late_is_not_counted(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    async def another_takes_it(_seconds: float) -> None:
        await house.database.owner.execute("update queue set attempt = 2")

    await due(house, loop_health, clock, recipient="+15555550003")
    await Worker(house, replace(tools(house), sleep=another_takes_it)).once()
    now = await figures(house)
    assert now("attempts_total", provider="sand", outcome="accepted") == 1
    assert now("ended_total", event="sent") == 0


async def test_what_is_cancelled_and_settled_by_callers_is_counted(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    lost = await due(house, loop_health, clock, recipient="+15555550004")
    await Worker(house, tools(house)).once()
    await messages.settle(house, loop_health, lost, "failed")
    one = await schedule(house, loop_health, ask(clock, dedup_key="a"))
    for _ in range(2):
        await messages.cancel(house, loop_health, UUID(one.message["id"]))
    for key in "bc":
        await schedule(house, loop_health, ask(clock, dedup_key=key))
    narrowed: dict[str, Any] = {
        "dedup_key": None,
        "person_id": "p1",
        "template_key": None,
        "subject": None,
        "before": None,
    }
    await bulk.cancel(house, loop_health, "loop", **narrowed, limit=50)
    now = await figures(house)
    assert (now("ended_total", event="settled"), now("ended_total", event="cancelled")) == (1, 3)


async def test_what_the_sweep_ends_is_counted(house: House, loop_health: Caller, clock: FakeClock) -> None:
    await due(house, loop_health, clock)
    clock.advance(86_400)
    await sweep(house)
    assert (await figures(house))("ended_total", event="expired") == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_what_dead_workers_left_is_counted(
    house: House, loop_health: Caller, clock: FakeClock, *, begun: bool
) -> None:
    message_id = await due(house, loop_health, clock)
    await Worker(house, tools(house))._take(1)
    if begun:
        await house.database.owner.execute(
            """insert into delivery (bucket, message_id, n, brand_id, provider_id, payload, attempt, begun_at)
               select bucket, id, 0, brand_id, 'sand', '', 1, due_at from queue where id = $1""",
            message_id,
        )
    clock.advance(60)
    await sweep(house)
    now = await figures(house)
    assert (now("ended_total", event="retried"), now("ended_total", event="unknown")) == (not begun, begun)


async def test_lateness_runs_from_the_time_that_was_due(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await due(house, loop_health, clock)
    clock.advance(20)
    await Worker(house, tools(house)).once()
    now = await figures(house)
    assert (now("lateness_seconds_sum"), now("lateness_seconds_count")) == (20, 1)
    assert (now("lateness_seconds_bucket", le="10.0"), now("lateness_seconds_bucket", le="30.0")) == (0, 1)


async def test_what_is_handed_over_nowhere_is_not_late(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await due(house, loop_health, clock)
    clock.advance(86_400)
    await Worker(house, tools(house)).once()
    now = await figures(house)
    assert (now("ended_total", event="expired"), now("lateness_seconds_count")) == (1, 0)


async def test_a_providers_time_is_its_own(house: House, loop_health: Caller, clock: FakeClock) -> None:
    async def takes_its_time(seconds: float) -> None:
        clock.advance(seconds)

    await due(house, loop_health, clock, recipient="+15555550003")
    await Worker(house, replace(tools(house), sleep=takes_its_time)).once()
    assert (await figures(house))("provider_seconds_sum", provider="sand") == 5


async def test_what_is_due_and_what_is_under_way_is_shown(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    called, answer = asyncio.Event(), asyncio.Event()

    async def waits(_seconds: float) -> None:
        called.set()
        await answer.wait()

    def shown(now: Figures) -> list[float | None]:
        backlog = [now("backlog", state=state) for state in ("due", "sending")]
        return [*backlog, now("in_flight"), now("oldest_due_seconds")]

    await schedule(house, loop_health, ask(clock, dedup_key="later", after=timedelta(days=1)))
    assert shown(await figures(house)) == [0, 0, 0, 0]
    await due(house, loop_health, clock, recipient="+15555550003")
    clock.advance(7)
    worker = Worker(house, replace(tools(house), sleep=waits))
    assert shown(await figures(house)) == [1, 0, 0, 7]
    working = asyncio.create_task(worker.once())
    await called.wait()
    assert shown(await figures(house)) == [0, 1, 1, 0]
    answer.set()
    await working
    assert shown(await figures(house)) == [0, 0, 0, 0]


async def test_connections_in_use_are_shown(house: House) -> None:
    def api(now: Figures) -> list[float | None]:
        return [now("pool_connections", pool="api", state=state) for state in ("used", "idle", "unopened")]

    assert api(await figures(house)) == [0, 1, 7]
    async with house.database.brand("loop"), house.database.brand("loop"):
        assert api(await figures(house)) == [2, 0, 6]


async def test_requests_are_counted_by_patterns_of_ours(client: httpx.AsyncClient, house: House) -> None:
    await client.get("/v1/inbox/ada?brand_id=loop")
    await client.get("/v1/inbox/ada?brand_id=nobody")
    await client.request("BREW", "/v1/inbox/ada")
    await client.get("/nowhere/ada")
    await client.get("/docs")
    now = await figures(house)
    inbox = "/v1/inbox/{person_id}"
    counted = [
        now("http_requests_total", route=route, method=method, status=status)
        for route, method, status in (
            (inbox, "GET", "200"),
            (inbox, "GET", "422"),
            (inbox, "other", "405"),
            ("none", "GET", "404"),
            ("/docs", "GET", "200"),
        )
    ]
    assert counted == [1, 1, 1, 1, 1]
    assert now("http_request_seconds_count", route=inbox) == 3


async def test_nothing_personal_is_in_any_label(
    client: httpx.AsyncClient, house: House, clock: FakeClock
) -> None:
    canary = "Xylophone"
    at = clock.now().isoformat()
    for number, channel in enumerate(("email", "push", "in_app")):
        recipient = {"email": f"{canary}@x.test"}.get(channel, canary)
        personal = {
            "recipient": recipient,
            "person_id": canary,
            "variables": {"name": canary, canary: canary},
        }
        body = GOOD | personal | {"channel": channel, "dedup_key": f"{canary}{number}", "scheduled_at": at}
        made = await client.post("/v1/messages/schedule", json=body)
        assert made.status_code == 201
        for wrong in (
            {canary: canary},
            {"scheduled_at": canary},
            {"template_key": canary},
            {"brand_id": canary},
        ):
            await client.post("/v1/messages/schedule", json=body | wrong | {"dedup_key": canary})
    await Worker(house, tools(house)).once()
    await client.get(f"/v1/inbox/{canary}?brand_id=loop")
    await client.request(canary, f"/{canary}", headers={"Authorization": f"Bearer {canary}"})
    text = (await client.get("/metrics")).text
    assert read(text)("ended_total", event="sent") == 3
    assert canary.lower() not in text.lower()
    assert "loop" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1"])
async def test_from_loopback_it_needs_no_token(house: House, host: str) -> None:
    async with caller_from(house, (host, 50_000)) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via"])
async def test_behind_a_proxy_on_the_same_machine_it_needs_one(house: House, header: str) -> None:
    async with caller_from(house, ("127.0.0.1", 50_000)) as client:
        answer = await client.get("/metrics", headers={header: ""})
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::1", "0.0.0.0", "", "localhost"])
async def test_from_elsewhere_it_needs_one_whatever_the_headers_say(house: House, host: str) -> None:
    said = {
        "X-Forwarded-For": "127.0.0.1",
        "Forwarded": "for=127.0.0.1",
        "X-Real-IP": "::1",
        "Host": "localhost",
    }
    async with caller_from(house, (host, 50_000)) as client:
        for headers in ({}, said):
            answer = await client.get("/metrics", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("brand", "scope", "expected"),
    [
        ("*", "admin:comms", (200, None)),
        ("*", "read:messages", (403, "insufficient_scope")),
        ("loop", "admin:comms", (403, "forbidden")),
    ],
)
async def test_its_token_is_an_operators(
    house: House, loop_health: Caller, brand: str, scope: str, expected: tuple[int, str | None]
) -> None:
    assert loop_health.allows(scope)
    token = await tokens.create(house, OPERATOR, brand, [scope], None, None, None)
    async with caller_from(house, REMOTE, Authorization=f"Bearer {token}") as client:
        answer = await client.get("/metrics")
    error = None if answer.status_code == 200 else answer.json()["error"]
    assert (answer.status_code, error) == expected


async def test_without_its_database_a_process_still_says_what_it_knows(house: House, postgres: str) -> None:
    gone = await connect(postgres)
    await gone.close()
    house.metrics.claimed.add(by=3)
    now = await figures(replace(house, database=gone))
    assert (now("database_up"), now("claimed_total")) == (0, 3)
    assert now("backlog", state="due") is now("oldest_due_seconds") is None
    assert (await figures(house))("database_up") == 1


async def test_a_database_that_does_not_answer_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_PATIENCE", 0.05)
    async with AsyncExitStack() as held, asyncio.timeout(5):
        for _ in range(house.database.owner.get_max_size()):
            await held.enter_async_context(house.database.owner.acquire())
        assert (await figures(house))("database_up") == 0
    monkeypatch.undo()
    assert (await figures(house))("database_up") == 1


async def test_a_scrape_walks_along_indexes_alone(house: House) -> None:
    async with house.database.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            """insert into queue (bucket, id, brand_id, template_id, due_at, deadline)
               select 1, gen_random_uuid(), 'loop', gen_random_uuid(), now() + n * interval '1 second', now()
                 from generate_series(1, 5000) as n"""
        )
        await connection.execute("analyze queue")
        plan = await connection.fetch(f"explain {sql('health', 'backlog')}", None)
    text = "\n".join(row[0] for row in plan)
    assert text.count("queue_due") == 2
    assert text.count("queue_lease") == 1
    assert "Seq Scan" not in text
    assert "Sort" not in text


async def test_a_worker_alone_shows_its_metrics_and_its_health_and_nothing_else(house: House) -> None:
    transport = httpx.ASGITransport(observatory(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://comms.test") as client:
        asked = ("/metrics", "/healthz", "/readyz", "/docs", "/v1/openapi.json", "/v1/messages/schedule")
        assert [(await client.get(path)).status_code for path in asked] == [200, 200, 404, 404, 404, 404]


async def test_the_page_lists_every_metric_and_its_alarms_name_no_other(house: House) -> None:
    text = (await metrics.scrape(house)).decode()
    exposed = set(re.findall(r"^# TYPE (comms_\w+) ", text, re.MULTILINE))
    page = PAGE.read_text()
    listed = re.findall(r"^\| `(comms_\w+)(?:{[\w, ]+})?`", page, re.MULTILINE)
    assert sorted(listed) == sorted(exposed)
    rules = "".join(re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    named = {re.sub(r"_(bucket|count|sum)$", "", each) for each in re.findall(r"comms_\w+", rules)}
    assert named
    assert named <= exposed
