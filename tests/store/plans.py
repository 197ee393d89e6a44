"""The plan that PostgreSQL takes for a statement, and what it scans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from comms.store.database import Connection
from comms.store.statements import Statement

_GIVEN = {
    "tid": "'(0,1)'",
    "int4": "10",
    "int8": "100",
    "float8": "1",
    "text": "'brand-1'",
    "bytea": "made.hash('person', 7)",
    "uuid": "made.id(77)",
    "timestamptz": "now()",
    "timestamp": "now()::timestamp",
    "interval": "interval '1 second'",
    "bool": "true",
    "jsonb": "'{}'",
}
"""A value of each type, of which there is one in the tables. Of arrays ten; limits are ten."""

_DECIDING = 0.0025 * 1000
"""What PostgreSQL reckons for planning a relation, where it compares a plan a call with one for all."""


class Scan(NamedTuple):
    """One access to a table. `is_bounded`: by a condition on the columns of the index `by`."""

    kind: str
    table: str | None
    by: str | None
    is_bounded: bool


async def scans(connection: Connection, statement: Statement) -> list[Scan]:
    """What the plans scan that a prepared statement is run by: one made for the call, or one for all calls.

    The latter only where PostgreSQL reckons it no dearer, since it is not taken otherwise.
    """
    types = [each.name for each in (await connection.prepare(statement.sql)).get_parameters()]
    each = await _plan(connection, statement, types, "force_custom_plan")
    every = await _plan(connection, statement, types, "force_generic_plan")
    dearest = each["Total Cost"] + _DECIDING * (1 + len(list(_nodes(every))))
    taken = [each, every] if every["Total Cost"] <= dearest else [each]
    return [_scan(node) for plan in taken for node in _nodes(plan) if "Scan" in node["Node Type"]]


async def _plan(connection: Connection, statement: Statement, types: list[str], mode: str) -> dict[str, Any]:
    given = ", ".join(map(_argument, types))
    await connection.execute(f"set plan_cache_mode = {mode}; prepare asked as {statement.sql}")
    found = await connection.fetchval(f"explain (format json) execute asked {f'({given})' if given else ''}")
    await connection.execute("deallocate asked")
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def _argument(name: str) -> str:
    if name.endswith("[]"):
        return f"array_fill({_GIVEN[name[:-2]]}::{name[:-2]}, array[10])"
    return f"{_GIVEN[name]}::{name}"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _scan(node: dict[str, Any]) -> Scan:
    table, index = node.get("Relation Name"), node.get("Index Name")
    is_bounded = "Index Cond" in node or node["Node Type"] in {"Bitmap Heap Scan", "Tid Range Scan"}
    return Scan(node["Node Type"], table, index, is_bounded)
