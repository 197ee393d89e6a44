"""The protocol keeps its promises in every order of events, and each of its parts is needed for that."""

from __future__ import annotations

import itertools
from functools import cache

import pytest

from comms.domain.lifecycle import TRANSITIONS, Status
from tests.model.protocol import Rules, Violation, World, explore, moves

EVERY = [Rules(keyed, twice) for keyed, twice in itertools.product((False, True), repeat=2)]
BREAKS = [
    "call without a look at the lease",
    "cancel answers before it knows",
    "cancel without a look at the mark",
    "freeze without fence",
    "record without fence",
    "rescue forgets the doubt",
    "silence without a look at the mark",
]


@cache
def reached(rules: Rules) -> set[World]:
    return explore(rules)


@pytest.mark.parametrize("rules", EVERY, ids=str)
def test_no_order_of_events_breaks_a_promise(rules: Rules) -> None:
    worlds = reached(rules)
    assert len(worlds) > 10_000
    left_out = {Status.SUPPRESSED, Status.EXPIRED}
    if rules.idempotent:
        left_out.add(Status.UNKNOWN)  # it is asked again until it is known
    assert {world.status for world in worlds} == set(Status) - left_out


@pytest.mark.parametrize("broken", BREAKS)
def test_without_any_part_some_order_does(broken: str) -> None:
    found = []
    for rules in EVERY:
        try:
            explore(rules._replace(broken=broken))
        except Violation as violation:
            found.append(str(violation))
    assert found, f"nobody misses it: {broken}"


def test_every_move_of_a_life_is_walked() -> None:
    """But for those that the model leaves out: our own decisions, and a change by the caller."""
    walked = {change for rules in EVERY for world in reached(rules) for change in changes(world, rules)}
    left_out = {"reschedule", "expire", "suppress", "defer", "hold"}
    table = {
        (source, target)
        for name, moves_ in TRANSITIONS.items()
        if name not in left_out
        for source, target in moves_.items()
    }
    assert walked == table


def changes(world: World, rules: Rules) -> set[tuple[Status, Status]]:
    return {(world.status, then.status) for _, then in moves(world, rules) if then.status is not world.status}
