"""What is planted, and how it is known again: in the clear, in hexadecimal, in base64, in any case of letters."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator

MARK = "qzvkwxjy"
"""In every text that is planted, and in nothing else in the world."""

NAMED = f"{MARK}name"
"""In names of members that nobody knows: a refusal names those, since a misspelt one must not pass in silence."""

NUMBER_MARK = "491555707"
"""In every telephone number that is planted."""


def needles(mark: str = MARK) -> list[bytes]:
    """A mark as it may stand in lower-cased bytes, wherever it begins in base64's groups of three."""
    plain = mark.encode()
    packed = [
        base64.b64encode(b"\0" * lead + plain)[-(-lead * 4 // 3) :].rstrip(b"=")[:-1] for lead in range(3)
    ]
    texts = [plain, plain.hex().encode(), plain[::-1], mark.encode("utf-16-le"), *packed]
    return [text.lower() for text in texts]


class Nest:
    """Lays canaries, each once, and remembers by which way each went in."""

    def __init__(self) -> None:
        self.ways: Counter[str] = Counter()
        self._laid: list[str] = []

    def __len__(self) -> int:
        return len(self._laid)

    def lay(self, way: str) -> str:
        """A text that nobody else has."""
        self.ways[way] += 1
        self._laid.append(way)
        return f"{MARK}{len(self._laid):06d}"

    def name(self, way: str) -> str:
        """The same as the name of a member that there is not."""
        return self.lay(way).replace(MARK, NAMED)

    def number(self, way: str) -> str:
        """The same as a telephone number."""
        self.lay(way)
        return f"+{NUMBER_MARK}{len(self._laid) % 10_000:04d}"

    def way_of(self, number: int) -> str:
        """How the canary of that number went in."""
        return self._laid[number - 1]


NEEDLES = [*needles(), NUMBER_MARK.encode()]


def found(data: bytes, looked_for: list[bytes] = NEEDLES) -> Iterator[bytes]:
    """What stands there of what is looked for, with what follows it."""
    lowered = data.lower()
    for needle in looked_for:
        at = lowered.find(needle)
        if at >= 0:
            yield re.sub(rb"[^\x20-\x7e]", b".", data[max(0, at - 60) : at + 60])
