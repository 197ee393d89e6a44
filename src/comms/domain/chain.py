"""The audit chain: which entry was changed, removed, added or moved after it was closed.

    mark   the first eight bytes of an entry's SHA-256; the entry is its line, as it is exported
    hash   SHA-256 of the link's hash before (nothing, at the beginning) and of each entry's SHA-256

The marks name the broken entry; the hashes hold all entries and their order. Who can write as the tables'
owner can make the chain anew: a head that was noted elsewhere tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

MARK = 8
COLUMNS = ("n", "bucket", "at", "actor", "action", "brand_id", "message_id", "request_id", "details")
"""An entry's line is a JSON array of these."""


class Link(NamedTuple):
    """A group of entries, closed: those up to `last_n`, from the link before."""

    link: int
    last_n: int
    entries: int
    marks: bytes
    hash: bytes


class Broken(Exception):
    """The first entry or link that is not as it was closed; the message names it."""


class Chain:
    """Verifies link after link, and keeps little between them. `noted`: a link's hash that must come."""

    def __init__(self, noted: str | None = None) -> None:
        self.entries = 0
        self.last_n = 0
        self.head = b""
        self._noted = noted
        self._link = 0

    def follow(self, link: Link, lines: Sequence[str]) -> None:
        """The next link with the entries that stand there now; raises `Broken`."""
        if link.link != self._link + 1:
            raise Broken(f"link {self._link + 1} is missing")
        digests = [hashlib.sha256(line.encode()).digest() for line in lines]
        _compare(link, digests, lines)
        head = hashlib.sha256(self.head + b"".join(digests)).digest()
        if head != link.hash or link.entries != len(lines):
            raise Broken(
                f"link {link.link}, up to entry {link.last_n}, does not follow from what is before it"
            )
        self._link, self.last_n, self.head = link.link, link.last_n, head
        self.entries += len(lines)
        if head.hex() == self._noted:
            self._noted = None

    def end(self) -> None:
        """Nothing comes any more; raises `Broken` where the noted hash has not come."""
        if self._noted is not None:
            raise Broken("no link has the hash that was noted: the chain was made anew, or cut off")


def _number(line: str) -> str:
    """An entry's number, for a person."""
    try:
        return str(msgspec.json.decode(line, type=_Numbered).n)
    except msgspec.DecodeError:
        return "without a number"


class _Numbered(msgspec.Struct, array_like=True):
    n: int


def _compare(link: Link, digests: Sequence[bytes], lines: Sequence[str]) -> None:
    """Raise `Broken` for the first entry that differs from its mark."""
    marks = [link.marks[at : at + MARK] for at in range(0, len(link.marks), MARK)]
    now = [digest[:MARK] for digest in digests]
    at = next((i for i, (mark, is_now) in enumerate(zip(marks, now, strict=False)) if mark != is_now), None)
    if at is None and len(marks) == len(now):
        return
    at = min(len(marks), len(now)) if at is None else at
    raise Broken(_what_happened(marks, now, at, lines, link))


def _what_happened(
    marks: Sequence[bytes], now: Sequence[bytes], at: int, lines: Sequence[str], link: Link
) -> str:
    """Removed, where what stands there comes later; added, where what should stand there comes later."""
    where = f"in link {link.link}"
    if at >= len(now):
        return f"an entry is missing after {_number(lines[-1]) if lines else 'the link before'}, {where}"
    n = _number(lines[at])
    if at >= len(marks):
        return f"entry {n} was added, {where}"
    comes_later, is_elsewhere = marks[at] in now[at + 1 :], now[at] in marks
    if comes_later and is_elsewhere:
        return f"entry {n} was moved, {where}"
    if comes_later:
        return f"entry {n} was added, {where}"
    if is_elsewhere:
        return f"an entry is missing before {n}, {where}"
    return f"entry {n} was changed, {where}"
