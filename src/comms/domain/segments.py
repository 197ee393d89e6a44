"""How many segments a text message takes (3GPP TS 23.038, section 6.2.1 and 23.040, section 9.2.3.24)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The alphabet in its order; where the escape stands there is no character."""

EXTENDED = {
    "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F,
    "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65,
}  # fmt: skip
"""Each takes an escape and its code: two units."""

ESCAPE = BASIC.index("\x1b")
_PLAIN = frozenset(BASIC).difference("\x1b")
_GSM = _PLAIN.union(EXTENDED)


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets (GSM-7) or UTF-16 code units (UCS-2)."""

    count: int
    encoding: str
    units: int


def segments(text: str) -> Segments:
    """The segments of `text`: 160 septets alone or 153 each of several; 70 or 67 for UCS-2."""
    encoding, costs = _measure(text)
    return Segments(len(_lengths(encoding, costs)), encoding, sum(costs))


def split(text: str) -> list[str]:
    """The text of each segment."""
    characters = iter(text)
    return ["".join(islice(characters, length)) for length in _lengths(*_measure(text))]


def _measure(text: str) -> tuple[str, list[int]]:
    """The encoding that the worst character asks for, and what each then takes."""
    if _PLAIN.issuperset(text):
        return "GSM-7", [1] * len(text)
    if _GSM.issuperset(text):
        return "GSM-7", [2 if character in EXTENDED else 1 for character in text]
    return "UCS-2", [2 if ord(character) > 0xFFFF else 1 for character in text]


def _lengths(encoding: str, costs: list[int]) -> list[int]:
    """Characters in each segment. One of two units is never split between two."""
    alone, each = (160, 153) if encoding == "GSM-7" else (70, 67)
    if sum(costs) <= alone:
        return [len(costs)]
    lengths, used = [0], 0
    for cost in costs:
        if used + cost > each:
            lengths.append(0)
            used = 0
        used += cost
        lengths[-1] += 1
    return lengths
