"""The judgement alone: which rule decides, whatever the order in which the rows came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.permission import CODES, WEIGHT, Evidence, Permission, consent_reason, refusal

KINDS = {"opted_in": "consent", "opted_out": "consent", "enabled": "preference", "disabled": "preference"}


def code(category: str, *says: str) -> str | None:
    found = refusal(
        Permission(
            category, tuple(Evidence(KINDS.get(each, "suppression"), f"id-{each}", each, "") for each in says)
        )
    )
    return found.code if found else None


@pytest.mark.parametrize(
    ("says", "news", "transactional"),
    [
        ((), "no_consent", None),
        (("opted_in",), None, None),
        (("opted_out",), "opted_out", None),
        (("enabled",), "no_consent", None),
        (("opted_in", "enabled"), None, None),
        (("opted_in", "disabled"), "preference_off", None),
        (("opted_out", "disabled"), "opted_out", None),
        (("opted_in", "manual"), "suppressed_manual", None),
        (("opted_in", "unsubscribe"), "suppressed_unsubscribe", None),
        (("opted_in", "complaint"), "suppressed_complaint", "suppressed_complaint"),
        (("opted_in", "hard_bounce"), "suppressed_hard_bounce", "suppressed_hard_bounce"),
        (("opted_in", "stop"), "suppressed_stop", "suppressed_stop"),
        (("stop", "unsubscribe", "manual"), "suppressed_stop", "suppressed_stop"),
        (("manual", "complaint", "hard_bounce"), "suppressed_hard_bounce", "suppressed_hard_bounce"),
        (("opted_out", "manual", "unsubscribe"), "suppressed_unsubscribe", None),
    ],
)
def test_the_first_rule_that_applies_refuses(
    says: tuple[str, ...], news: str | None, transactional: str | None
) -> None:
    assert (code("news", *says), code("transactional", *says)) == (news, transactional)


@pytest.mark.parametrize(
    ("category", "opted_in", "reason"),
    [
        ("transactional", False, "transactional_bypass"),
        ("transactional", None, "transactional_bypass"),
        ("news", None, "no_consent_row"),
        ("news", True, "opted_in"),
        ("news", False, "opted_out"),
        ("Transactional", None, "no_consent_row"),
    ],
)
def test_consent_has_four_reasons(category: str, *, opted_in: bool | None, reason: str) -> None:
    assert consent_reason(category, opted_in) == reason


rows = st.tuples(
    st.sampled_from([(), ("opted_in",), ("opted_out",)]),
    st.sampled_from([(), ("enabled",), ("disabled",)]),
    st.sets(st.sampled_from(WEIGHT)).map(tuple),
).map(lambda parts: sum(parts, ()))


@given(rows.flatmap(st.permutations), st.sampled_from(["news", "transactional"]))
def test_the_order_of_the_rows_decides_nothing(says: list[str], category: str) -> None:
    decided = code(category, *says)
    assert decided == code(category, *sorted(says))
    assert decided is None or decided in CODES


@given(rows)
def test_another_suppression_never_frees_and_news_never_goes_without_consent(says: tuple[str, ...]) -> None:
    for category in ("news", "transactional"):
        if code(category, *says):
            assert all(code(category, *says, each) for each in WEIGHT)
    if "opted_in" not in says:
        assert code("news", *says)


@given(rows)
def test_without_the_row_that_decided_the_judgement_is_another(says: tuple[str, ...]) -> None:
    """The evidence is what decided: take it away, and something else does."""
    for category in ("news", "transactional"):
        decided = code(category, *says)
        decisive = {"opted_out": "opted_out", "preference_off": "disabled", None: "opted_in"}.get(
            decided, (decided or "").removeprefix("suppressed_")
        )
        if decisive in says and not (decided is None and category == "transactional"):
            assert code(category, *(each for each in says if each != decisive)) != decided
