from __future__ import annotations

import pytest

from comms.domain.segments import Segments, segments


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
