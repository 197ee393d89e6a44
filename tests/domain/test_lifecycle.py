from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.lifecycle import FINAL, TRANSITIONS, NotAllowed, Status, after, mermaid


def test_the_final_statuses_are_the_five_of_the_contract() -> None:
    assert {Status.SENT, Status.FAILED, Status.CANCELLED, Status.SUPPRESSED, Status.EXPIRED} == FINAL


def test_every_status_can_be_reached() -> None:
    reached = {Status.SCHEDULED}
    for _ in Status:
        reached |= {
            target for moves in TRANSITIONS.values() for source, target in moves.items() if source in reached
        }
    assert reached == set(Status)


def test_what_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(NotAllowed, match="cancel can't happen to a message that is sending"):
        after("cancel", Status.SENDING)


def test_an_event_nobody_knows_is_refused() -> None:
    with pytest.raises(NotAllowed):
        after("vanish", Status.SCHEDULED)


@given(st.lists(st.sampled_from(sorted(TRANSITIONS)), max_size=30))
def test_no_sequence_of_events_leaves_a_final_status(events: list[str]) -> None:
    status = Status.SCHEDULED
    for event in events:
        try:
            moved = after(event, status)
        except NotAllowed:
            continue
        assert status not in FINAL
        status = moved


def test_the_diagram_draws_every_move() -> None:
    drawn = mermaid()
    moves = [(s, t, e) for e, pairs in TRANSITIONS.items() for s, t in pairs.items()]
    assert all(f"    {source} --> {target}: {event}\n" in drawn for source, target, event in moves)
