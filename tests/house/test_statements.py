"""The SQL is held to the transition table, and all of it is understood by PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comms.domain.lifecycle import TRANSITIONS, Status
from comms.store.database import Database
from comms.store.statements import Statement, load

GROUPS = sorted(path.stem for path in (Path(__file__).parents[2] / "src/comms/store/sql").glob("*.sql"))
STATEMENTS = [pytest.param(s, id=f"{g}.{s.name}") for g in GROUPS for s in load(g).values()]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_headers_moves_stand_in_the_table(statement: Statement) -> None:
    for event, source, target in statement.moves:
        assert TRANSITIONS[event][Status(source)] == target


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_moving_statement_spells_both_ends_of_each_move(statement: Statement) -> None:
    for _, source, target in statement.moves:
        assert f"state = '{source}'" in statement.sql
        assert f"'{target}'" in statement.sql


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_that_writes_a_status_says_so_in_its_header(statement: Statement) -> None:
    code = re.sub(r"--.*", "", statement.sql)
    writes = re.search(r"(update|delete from)\s+queue\b", code)
    assert bool(statement.moves) == bool(writes)


def test_every_move_of_the_table_is_made_by_some_statement() -> None:
    made = {move.event for group in GROUPS for s in load(group).values() for move in s.moves}
    assert made == set(TRANSITIONS)


@pytest.mark.anyio
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_postgresql_understands_it(statement: Statement, database: Database) -> None:
    async with database.owner.acquire() as connection:
        await connection.prepare(statement.sql)
