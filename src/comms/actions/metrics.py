"""What Prometheus is told: what this process counted, and what the database knows at this moment."""

from __future__ import annotations

import asyncio

import asyncpg
from prometheus_client.core import GaugeMetricFamily

from comms.actions.house import House
from comms.actions.watching import state
from comms.metrics import gauge
from comms.store import audit, breaker, canaries, history, subscriptions
from comms.store import health as rows
from comms.store.database import AWAY

_PATIENCE = 1.0
"""Seconds: a scrape says what this process knows even where the database is away, or slow."""


async def scrape(house: House) -> bytes:
    """The metrics as text."""
    return house.metrics.expose([_pools(house), *await _queue(house)])


def _pools(house: House) -> GaugeMetricFamily:
    uses = [
        ((use.pool, state), float(count))
        for use in house.database.uses()
        for state, count in (("used", use.used), ("idle", use.idle), ("unopened", use.unopened))
    ]
    return gauge("comms_pool_connections", "Connections to PostgreSQL.", ["pool", "state"], uses)


async def _queue(house: House) -> list[GaugeMetricFamily]:
    """What is left out is not known: an old value would pass for a new one."""
    try:
        async with asyncio.timeout(_PATIENCE):
            found = await rows.backlog(house.database.owner, house.clock.sql_now())
            resting = await breaker.standing(house.database.owner, house.clock.sql_now())
            beyond = await audit.written(house.database.owner) - await audit.closed(house.database.owner)
            told = await subscriptions.states(house.database.owner)
            watched = await canaries.found(house.database.owner, house.clock.sql_now())
            stands = await history.state(house.database.owner)
    except (*AWAY, asyncpg.PostgresError):
        return [_is_up(0)]
    counts = [([state], found[state]) for state in ("due", "sending")]
    return [
        _is_up(1),
        gauge("comms_backlog", "Messages due and not claimed, and being delivered.", ["state"], counts),
        gauge("comms_ledger_unchained", "Entries beyond the last link.", [], [([], max(0, beyond))]),
        _pause(stands),
        gauge("comms_subscriptions", "Who wants to hear of events.", ["state"], _by_name(told)),
        gauge("comms_oldest_due_seconds", "How long the oldest is due.", [], [([], found["overdue"])]),
        gauge(
            "comms_provider_resting",
            "Providers that are not called, or not for some brand.",
            ["provider"],
            [([each], 1) for each in sorted({each.key.provider_id for each in resting})],
        ),
        *_canaries(watched),
    ]


def _canaries(watched: list[asyncpg.Record]) -> list[GaugeMetricFamily]:
    """Of which nothing is known yet has no figure."""
    well = [([row["provider_id"]], float(state(row) == "well")) for row in watched if state(row) != "waiting"]
    took = [
        ([row["provider_id"], until], row[f"{until}_seconds"])
        for row in watched
        for until in ("sent", "delivered")
        if row[f"{until}_seconds"] is not None
    ]
    return [
        gauge("comms_canary_up", "Did the provider's last canary go well?", ["provider"], well),
        gauge("comms_canary_seconds", "How long it took.", ["provider", "until"], took),
    ]


def _pause(state: history.State) -> GaugeMetricFamily:
    reason = state.paused_reason or ("other_history" if state.history != state.cleared else None)
    values = [([reason], 1)] if reason else []
    return gauge("comms_sending_paused", "Nothing is sent, and why.", ["reason"], values)


def _by_name(row: asyncpg.Record) -> list[tuple[list[str], float]]:
    return [([name], float(count)) for name, count in row.items()]


def _is_up(value: int) -> GaugeMetricFamily:
    return gauge("comms_database_up", "Did the database answer this scrape?", [], [([], value)])
