"""What is kept of a decision gives it again, and what is said of it is true of the function that decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.brand import Cap
from comms.domain.caps import Counted
from comms.domain.decision import CODES, Facts, Guard, decide
from comms.domain.explanation import in_words, kept, read
from comms.domain.otherwise import otherwise
from comms.domain.permission import TRANSACTIONAL, WEIGHT, Evidence, Permission
from comms.domain.quiet import Quiet, Zone
from comms.domain.schedule import show

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
SINCE = show(NOON)
IDS = ("message", "brand", "template")

_TIMES = st.integers(-5_000, 5_000).map(lambda ms: NOON + timedelta(milliseconds=ms))
_ROWS = {"consent": ("opted_in", "opted_out"), "preference": ("enabled", "disabled"), "suppression": WEIGHT}
_EVIDENCE = st.tuples(
    *(
        st.sampled_from([None, *(Evidence(kind, f"{kind}-1", each, SINCE) for each in says)])
        for kind, says in _ROWS.items()
    )
).map(lambda rows: tuple(filter(None, rows)))
_GUARDS = st.lists(
    st.sampled_from([Guard("f", "aa"), Guard("f", "aa", "aa", SINCE), Guard("f", "aa", "bb", SINCE)]),
    max_size=2,
)
_QUIET = st.none() | st.builds(
    Quiet, st.just("21:00"), st.just("08:00"), st.builds(Zone, st.just("Europe/Berlin"), st.just("person-1"),
    st.sampled_from([None, SINCE])), st.just("2026-12-01T13:00:00"), st.none() | st.just(NOON + timedelta(hours=8)),
)  # fmt: skip
_COUNTED = st.builds(
    Counted,
    st.builds(Cap, st.integers(1, 2), st.just(86_400), st.sampled_from(["drop", "defer", "pass"]),
              st.sampled_from([None, "news"]), st.sampled_from([None, "sms"])),
    st.integers(0, 2).map(lambda n: tuple((f"message-{i}", NOON - timedelta(hours=i)) for i in range(n))),
)  # fmt: skip
FACTS = st.builds(
    Facts, now=_TIMES, deadline=_TIMES, usable_providers=st.integers(0, 2), hipaa=st.booleans(),
    permission=st.builds(Permission, st.sampled_from([TRANSACTIONAL, "news"]), _EVIDENCE),
    guards=_GUARDS.map(tuple), quiet=_QUIET, caps=st.lists(_COUNTED, max_size=2).map(tuple), is_held=st.booleans(),
)  # fmt: skip


def stored(facts: Facts) -> list[dict[str, Any]]:
    """As the database gives it back."""
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(kept(facts, *IDS)))
    return found


@given(FACTS)
def test_what_is_kept_gives_the_same_facts_and_the_same_verdict(facts: Facts) -> None:
    again = read(show(facts.now), stored(facts))
    assert again == facts
    assert decide(again) == decide(facts)


@given(FACTS)
def test_every_fact_can_be_said(facts: Facts) -> None:
    found = stored(facts)
    assert len(in_words(found)) == len(found)


@given(FACTS)
def test_a_message_is_sent_exactly_where_nothing_would_have_had_to_be_otherwise(facts: Facts) -> None:
    verdict = decide(facts)
    conditions = otherwise(facts)
    assert (verdict.verdict == "send") == (conditions == [])
    assert verdict.verdict != "suppress" or verdict.rule in CODES
    assert (verdict.until is not None) == (verdict.verdict == "defer")


def test_all_that_stands_in_the_way_is_named_in_the_order_of_the_rules() -> None:
    evidence = (Evidence("suppression", "s-1", "manual", SINCE), Evidence("consent", "c-1", "opted_out", SINCE),
                Evidence("preference", "p-1", "disabled", SINCE))  # fmt: skip
    facts = Facts(
        now=NOON,
        deadline=NOON,
        usable_providers=1,
        hipaa=False,
        permission=Permission("news", evidence),
        guards=(Guard("f-1", "aa", "bb", SINCE),),
        quiet=Quiet("21:00", "08:00", Zone("Asia/Tokyo", "person-1"), "", NOON + timedelta(hours=1)),
    )
    assert otherwise(facts) == [
        "suppression s-1 of the address (manual) had been lifted",
        f"consent c-1 had not been withdrawn on {SINCE}",
        "the person had not switched the category off (preference p-1)",
        "fact f-1 had been as send_if wants it",
        "it had not been quiet hours in Asia/Tokyo",
    ]


def test_another_message_in_its_place_is_all_that_has_to_be_known() -> None:
    facts = [{"kind": "superseded", "id": "m-2"}]
    assert decide(read(SINCE, facts)).rule == "superseded"
    assert in_words(facts) == ["Message m-2 has replaced it."]


@pytest.mark.parametrize("category", [TRANSACTIONAL, "news"])
@given(FACTS)
def test_a_fact_that_decided_is_missed(category: str, facts: Facts) -> None:
    """Where one kind of fact is taken away, a refusal by it is no more."""
    facts = replace(facts, permission=Permission(category, facts.permission.evidence))
    verdict = decide(facts)
    kinds = {"quiet_hours": "quiet_hours", "frequency_cap": "cap", "guard_not_met": "guard", "brand_held": "hold",
             "opted_out": "consent", "preference_off": "preference"}  # fmt: skip
    if verdict.rule in kinds:
        rest = [each for each in stored(facts) if each["kind"] != kinds[verdict.rule]]
        assert decide(read(show(facts.now), rest)).rule != verdict.rule
