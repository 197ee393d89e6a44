from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.brand import Cap
from comms.domain.caps import Counted
from comms.domain.decision import Facts, Guard, decide
from comms.domain.permission import TRANSACTIONAL, Evidence, Permission
from comms.domain.quiet import Quiet, Zone
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


NEWS = Permission("news", (Evidence("consent", "c", "opted_in", ""),))
UNTIL = NOON + timedelta(hours=8)
OFF = Quiet("21:00", "08:00", Zone("UTC", "loop"), "", None)
ON = replace(OFF, until=UNTIL)


def cap(then: Literal["drop", "defer", "pass"], hours: int = 24, count: int = 1) -> Counted:
    """A cap of which one place is used."""
    return Counted(Cap(count, hours * 3600, then), (("m", NOON),))


@pytest.mark.parametrize(
    ("changes", "verdict", "rule", "until"),
    [
        ({}, "send", "clear", None),
        ({"guards": (Guard("f", "aa", "aa"),)}, "send", "clear", None),
        ({"guards": (Guard("f", "aa", "aa"), Guard("g", "aa", "bb"))}, "suppress", "guard_not_met", None),
        ({"guards": (Guard("f", "aa"),), "quiet": ON}, "suppress", "guard_not_met", None),
        ({"quiet": OFF}, "send", "clear", None),
        ({"quiet": ON, "caps": (cap("drop"),)}, "defer", "quiet_hours", UNTIL),
        ({"caps": (cap("drop", count=2),)}, "send", "clear", None),
        ({"caps": (cap("pass"),)}, "send", "clear", None),
        ({"caps": (cap("defer"), cap("drop"))}, "suppress", "frequency_cap", None),
        ({"caps": (cap("defer", 8), cap("defer", 5))}, "defer", "frequency_cap", UNTIL),
        ({"caps": (cap("defer"),), "permission": Permission("news")}, "suppress", "no_consent", None),
        ({"is_held": True, "usable_providers": 0}, "wait", "brand_held", None),
        ({"superseded_by": "m", "permission": Permission("news")}, "cancel", "superseded", None),
    ],
)
def test_every_rule_has_its_place(
    changes: dict[str, Any], verdict: str, rule: str, until: datetime | None
) -> None:
    decided = decide(replace(Facts(NOON, NOON, 1, hipaa=False, permission=NEWS), **changes))
    assert (decided.verdict, decided.rule, decided.until) == (verdict, rule, until)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waiting_doubles_from_a_second_to_a_quarter_of_an_hour(attempt: int, chance: float) -> None:
    assert 1 <= delay(attempt, chance) <= LONGEST
    assert delay(attempt, chance) <= delay(attempt + 1, chance)


def test_what_the_provider_asks_for_is_obeyed() -> None:
    assert delay(1, 0.5, asked=3600) == 3600
    assert delay(1, 0.5, asked=0) == 1.5
