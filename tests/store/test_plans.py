"""What each statement reads, on tables that are large: an index's part, and nothing whole.

A statement that is new stands under the same rule. It is asked on a database that `filled.sql` fills, for the plan that
PostgreSQL takes (`plans.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.store import filled
from tests.store.plans import Scan, scans

from comms.store import spread
from comms.store.database import ENGINE_PLANS, Connection, Database
from comms.store.statements import load

pytestmark = pytest.mark.anyio

GROUPS = sorted(path.stem for path in (Path(__file__).parents[2] / "src/comms/store/sql").glob("*.sql"))
STATEMENTS = {f"{group}.{name}": each for group in GROUPS for name, each in load(group).items()}

GROWS = {*spread.BY_BUCKET, *spread.BY_OWN_KEY, "audit_link"}

HOT = {
    "messages.accept": "person_key_pkey",
    "messages.find_dedup": "dedup_pkey",
    "messages.get": "message_pkey queue_pkey",
    "messages.timeline": "ledger_message",
    "messages.options": "message_pkey",
    "messages.cancel": "delivery_pkey message_pkey queue_pkey",
    "messages.lock_waiting": "queue_pkey",
    "messages.begun": "delivery_pkey",
    "messages.reschedule": "message_pkey queue_pkey",
    "supersession.supersede": "delivery_pkey message_pkey queue_pkey",
    "queue.peek": "queue_due",
    "queue.claim": "message_pkey queue_due queue_pkey",
    "queue.lanes": "queue_lane",
    "queue.claim_portions": "message_pkey queue_lane queue_pkey",
    "queue.content": "message_pkey",
    "queue.frozen": "delivery_pkey",
    "queue.freeze": "queue_pkey",
    "queue.finish": "delivery_pkey message_pkey queue_pkey",
    "queue.wait_again": "delivery_pkey message_pkey queue_pkey",
    "queue.lose": "delivery_pkey message_pkey queue_pkey",
    "queue.lapsed": "delivery_pkey message_pkey queue_lease",
    "queue.hold_claim": "queue_pkey",
    "queue.rescue": "delivery_pkey queue_pkey",
    "queue.expire_waiting": "delivery_pkey message_pkey queue_due queue_pkey",
    "deferral.defer": "message_pkey queue_pkey",
    "permission.facts": "cap_use_pkey consent_pkey fact_pkey person_pkey preference_pkey suppression_stands",
    "caps.release": "cap_use_pkey",
    "keys.persons": "person_key_pkey",
    "keys.hold": "person_key_pkey",
    "keys.hold_all": "person_key_pkey",
    "events.referred": "delivery_reference_pkey",
    "events.deliveries": "delivery_pkey ledger_message message_pkey",
    "events.hear": "delivery_pkey",
    "events.in_doubt": "delivery_pkey queue_pkey",
    "events.settle": "message_pkey queue_pkey",
    "items.inbox": "inbox_arrived inbox_item_pkey",
    "items.arrived": "inbox_arrived",
    "items.unread": "inbox_arrived inbox_unread",
    "items.item": "inbox_item_pkey",
    "items.bulk_read": "inbox_unread",
    "devices.of_person": "device_person",
    "audit.closed": "audit_link_pkey",
    "audit.close": "audit_link_pkey ledger_n",
    "subscriptions.lease": "audit_link_pkey ledger_brand",
}
"""What accepting, sending and reading one's own takes: these indexes of tables that grow, and no others."""

WHOLE = {
    "audit.closed": "the end of the chain: one row from the index's end",
    "audit.close": "the end of the chain",
    "audit.count_unchained": "the end of the chain",
    "audit.first_unchained": "the end of the chain",
    "audit.closed_before": "from the chain's end to a time that somebody names, for a replay",
    "subscriptions.lease": "the end of the chain",
    "queue.lapsed": "what is being sent, by its lease",
    "history.claimed": "the same",
    "health.backlog": "bounded walks: the first row, and as many as are being sent",
    "health.unknown": "an index over nothing but unknown messages",
    "keys.live": "stops at its limit; when keys of persons are replaced",
    "keys.erased_since": "stops at the first; when keys of persons are replaced",
    "keys.wraps_none": "stops at the first; when keys of persons are replaced",
}
"""May read without a bound, and why that is none."""


@pytest.fixture(scope="module")
async def large(postgres: str) -> AsyncIterator[Connection]:
    """Tables with many rows."""
    async with filled.database(postgres, "plans") as connection:
        yield connection


@pytest.fixture
async def as_engine(large: Connection) -> AsyncIterator[Connection]:
    """The same, planned as for what accepts, claims and records."""
    for setting, value in ENGINE_PLANS.items():
        await large.execute(f"set {setting} = {value}")
    yield large
    await large.execute("reset all")


async def test_nothing_reads_a_table_that_grows_from_end_to_end(large: Connection) -> None:
    unbounded = {
        name: found
        for name, statement in STATEMENTS.items()
        if (found := [each for each in await scans(large, statement) if _is_unbounded(each)])
    }
    assert {name: found for name, found in unbounded.items() if name not in WHOLE} == {}


async def test_hot_statements_take_these_indexes(as_engine: Connection) -> None:
    taken = {name: await _indexes(as_engine, name) for name in HOT}
    assert taken == HOT


async def test_no_hot_statement_gathers_and_sorts(as_engine: Connection) -> None:
    kinds = {name: {each.kind for each in await scans(as_engine, STATEMENTS[name])} for name in HOT}
    assert [name for name, found in kinds.items() if found & {"Bitmap Heap Scan", "Bitmap Index Scan"}] == []


async def test_whatever_index_there_is_serves_some_statement(large: Connection) -> None:
    taken = {each.by for statement in STATEMENTS.values() for each in await scans(large, statement)}
    there = await large.fetch(
        """select indexrelid::regclass::text as name from pg_index
            where indrelid::regclass::text = any ($1::text[]) and not indisunique""",
        sorted(GROWS),
    )
    assert {row["name"] for row in there} - taken == set()


async def test_the_engine_is_told_so(database: Database) -> None:
    async with database.engine.acquire() as connection:
        said = {name: await connection.fetchval(f"show {name}") for name in ENGINE_PLANS}
    assert said == ENGINE_PLANS


async def _indexes(connection: Connection, name: str) -> str:
    found = {each.by for each in await scans(connection, STATEMENTS[name]) if each.by}
    of_those = await connection.fetch(
        "select i.relname from pg_class i join pg_index x on x.indexrelid = i.oid"
        " join pg_class t on t.oid = x.indrelid where t.relname = any ($1::text[])",
        sorted(GROWS),
    )
    return " ".join(sorted(found & {row["relname"] for row in of_those}))


def _is_unbounded(scan: Scan) -> bool:
    return not scan.is_bounded and (scan.table in GROWS or (scan.by or "").startswith(tuple(GROWS)))
