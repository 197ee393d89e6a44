from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.decision import Facts, decide
from comms.domain.permission import TRANSACTIONAL, Permission
from comms.domain.retry import LONGEST, delay

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "providers", "verdict", "rule"),
    [
        (NOON, 1, "send", "clear"),
        (NOON + timedelta(microseconds=1), 1, "expire", "max_late"),
        (NOON + timedelta(days=1), 0, "expire", "max_late"),
        (NOON, 0, "wait", "no_route"),
    ],
)
def test_the_first_rule_that_applies_decides(now: datetime, providers: int, verdict: str, rule: str) -> None:
    facts = Facts(now, NOON, providers, hipaa=False, permission=Permission(TRANSACTIONAL))
    decided = decide(facts)
    assert (decided.verdict, decided.rule) == (verdict, rule)


@pytest.mark.parametrize(
    ("now", "providers", "verdict", "rule"),
    [
        (NOON, 1, "suppress", "no_consent"),
        (NOON, 0, "suppress", "no_consent"),
        (NOON + timedelta(seconds=1), 1, "expire", "max_late"),
    ],
)
def test_what_is_not_permitted_waits_for_no_route_but_is_not_called_so_where_it_is_too_late(
    now: datetime, providers: int, verdict: str, rule: str
) -> None:
    decided = decide(Facts(now, NOON, providers, hipaa=False, permission=Permission("news")))
    assert (decided.verdict, decided.rule) == (verdict, rule)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waiting_doubles_from_a_second_to_a_quarter_of_an_hour(attempt: int, chance: float) -> None:
    assert 1 <= delay(attempt, chance) <= LONGEST
    assert delay(attempt, chance) <= delay(attempt + 1, chance)


def test_what_the_provider_asks_for_is_obeyed() -> None:
    assert delay(1, 0.5, asked=3600) == 3600
    assert delay(1, 0.5, asked=0) == 1.5
