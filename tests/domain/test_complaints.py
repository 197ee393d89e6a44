from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from comms.domain.complaints import explain


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    colour: Literal["red", "green"] = "red"


class Shape(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=3)]
    count: Annotated[int, Meta(ge=1, le=5)] = 1
    rate: Annotated[float, Meta(gt=0)] | None = None
    flag: bool = False
    code: Annotated[str, Meta(pattern="^a$")] = "a"
    items: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=2)] = []
    words: Annotated[list[str], Meta(min_length=1)] | None = None
    inner: Inner = Inner()
    inners: Annotated[list[Inner], Meta(max_length=2)] | None = None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "The body must be an object."),
        ({}, "name is missing; add it."),
        ({"name": ""}, "name must not be empty."),
        ({"name": "secret"}, "name must have at most 3 characters."),
        ({"name": 7}, "name must be text."),
        ({"name": "a", "count": 0}, "count must be at least 1."),
        ({"name": "a", "count": 6}, "count must be at most 5."),
        ({"name": "a", "count": 1.5}, "count must be a whole number."),
        ({"name": "a", "rate": 0}, "rate must be more than 0.0."),
        ({"name": "a", "rate": "secret"}, "rate must be a number or null."),
        ({"name": "a", "flag": "secret"}, "flag must be true or false."),
        ({"name": "a", "code": "secret"}, "code does not have the form that is required."),
        ({"name": "a", "items": ["a", "b", "c"]}, "items must have at most 2 items."),
        ({"name": "a", "words": []}, "words must have at least 1 item."),
        ({"name": "a", "items": [""]}, "items[0] must not be empty."),
        ({"name": "a", "inner": {"colour": "secret"}}, "inner.colour must be one of red, green."),
        ({"name": "a", "inners": [{"colour": "secret"}]}, "inners[0].colour must be one of red, green."),
        (
            {"name": "a", "inner": {"color": 1}},
            "There is no member named inner.color here; did you mean colour?",
        ),
        ({"name": "a", "nmae": 1}, "There is no member named nmae here; did you mean name?"),
    ],
)
def test_it_names_the_member_and_what_it_must_be(given: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as complaint:
        msgspec.convert(given, Shape)
    assert explain(str(complaint.value), Shape).message == said
