from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comms.domain.errors import Refused
from comms.http import parsing
from comms.http.shapes.messages import Schedule
from tests.http.bad_inputs import GOOD, cases

CASES = cases()


def test_there_are_at_least_two_hundred() -> None:
    assert len(CASES) >= 200
    assert len({name for name, *_ in CASES}) == len(CASES)


@pytest.mark.anyio
async def test_each_is_refused_with_one_clear_sentence_and_nothing_happens(client: httpx.AsyncClient) -> None:
    wrong: list[object] = []
    for name, body, status, code in CASES:
        answer = await client.post("/v1/messages/schedule", content=body)
        said = answer.json()
        if (answer.status_code, said.get("error"), set(said)) != (status, code, {"error", "message"}):
            wrong.append((name, answer.status_code, said))
        elif not said["message"].endswith((".", "?")) or len(said["message"]) > 300:
            wrong.append((name, "no sentence", said))
    assert wrong == []
    listed = await client.get("/v1/messages/recent", params={"brand_id": "loop"})
    assert listed.json() == {"messages": []}


@pytest.mark.anyio
async def test_the_good_body_is_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages/schedule", json=GOOD)
    assert answer.status_code == 201


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "x"]), JSON) | JSON)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_decoded_or_refused_without_its_values(value: Any) -> None:
    try:
        parsing.decode(json.dumps(value).encode(), Schedule)
    except Refused as refused:
        code = refused.code
    else:
        code = "unknown_field"
    assert code in {"validation_error", "unknown_field"}


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        parsing.decode(body, Schedule)


@given(st.text(min_size=12, alphabet="qxzj"))
def test_a_value_is_never_said_back(canary: str) -> None:
    for member in GOOD:
        for value in (canary, [canary], {canary: canary}, 7):
            try:
                parsing.convert({**GOOD, member: value}, Schedule)
            except Refused as refused:
                assert canary not in refused.message  # noqa: PT017


def test_shapes_are_frozen() -> None:
    with pytest.raises(AttributeError):
        msgspec.convert(GOOD, Schedule).hipaa = True  # type: ignore[misc]
