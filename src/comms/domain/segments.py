"""How many segments a text message takes (3GPP TS 23.038, section 6.2.1 and 23.040, section 9.2.3.24)."""

from __future__ import annotations

from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Each takes an escape and itself: two units."""


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets (GSM-7) or UTF-16 code units (UCS-2)."""

    count: int
    encoding: str
    units: int


def segments(text: str) -> Segments:
    """The segments of `text`: 160 septets alone or 153 each of several; 70 or 67 for UCS-2."""
    if _BASIC.union(_EXTENDED).issuperset(text):
        costs = [2 if character in _EXTENDED else 1 for character in text]
        return Segments(_count(costs, 160, 153), "GSM-7", sum(costs))
    costs = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Segments(_count(costs, 70, 67), "UCS-2", sum(costs))


def _count(costs: list[int], alone: int, each: int) -> int:
    """A character of two units is never split between segments."""
    if sum(costs) <= alone:
        return 1
    count, used = 1, 0
    for cost in costs:
        if used + cost > each:
            count, used = count + 1, 0
        used += cost
    return count
