from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.segments import Segments, segments, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments(1, "GSM-7", 0)),
        ("a" * 160, Segments(1, "GSM-7", 160)),
        ("a" * 161, Segments(2, "GSM-7", 161)),
        ("a" * 306, Segments(2, "GSM-7", 306)),
        ("a" * 307, Segments(3, "GSM-7", 307)),
        ("€" * 80, Segments(1, "GSM-7", 160)),
        ("a" * 152 + "€" + "a" * 7, Segments(2, "GSM-7", 161)),
        ("ñ" * 160, Segments(1, "GSM-7", 160)),
        ("ç" * 70, Segments(1, "UCS-2", 70)),
        ("ç" * 71, Segments(2, "UCS-2", 71)),
        ("😀" * 35, Segments(1, "UCS-2", 70)),
        ("ç" * 66 + "😀" + "ç" * 3, Segments(2, "UCS-2", 71)),
    ],
)
def test_segments(text: str, expected: Segments) -> None:
    assert segments(text) == expected


@given(st.text(st.sampled_from("aé€ç😀\n\x1b"), max_size=700))
def test_a_text_is_split_as_it_is_counted(text: str) -> None:
    parts, whole = split(text), segments(text)
    assert "".join(parts) == text
    assert len(parts) == whole.count
    units = [
        sum(2 if c == "€" else 1 for c in p) if whole.encoding == "GSM-7" else len(p.encode("utf-16-be")) // 2
        for p in parts
    ]
    assert sum(units) == whole.units
    assert (
        max(units)
        <= ({"GSM-7": 153, "UCS-2": 67} if len(parts) > 1 else {"GSM-7": 160, "UCS-2": 70})[whole.encoding]
    )
