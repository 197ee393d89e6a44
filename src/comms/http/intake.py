"""Lines of consents, preferences or suppressions on their way in: NDJSON, or CSV with a line of names first.

CSV as in RFC 4180, in UTF-8: cells may be quoted, and a quoted one may hold line breaks. An empty
cell is as good as none. A spreadsheet would work out a cell that begins like a formula, so on the way
out it gets an apostrophe in front (OWASP, CSV injection), which is taken off on the way in.
"""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, UnsetType

from comms.actions import transfers
from comms.actions.consents import About
from comms.actions.house import House
from comms.domain import schedule as time
from comms.domain.caller import Caller
from comms.domain.errors import Refused, invalid
from comms.http import parsing
from comms.http.lines import Line, Lines
from comms.http.routing import too_large
from comms.http.shapes.transfers import ConsentLine, ImportVerdict, PreferenceLine, SuppressionLine
from comms.http.suppressions import named

_FORMULA = re.compile(r"'*[=+@\t\r-]")
_HARMLESS = re.compile(r"\+[0-9]+")

Take = Callable[[House, Caller, str, list[Any]], Awaitable[list[transfers.Written]]]
Pages = Callable[[House, Caller, str], AsyncIterator[list[dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of line: its shape, the names of its columns in order, where it goes and comes from."""

    shape: type[Struct]
    columns: Sequence[str]
    read: Callable[[Any, datetime], Any]
    take: Take
    pages: Pages


class Record(NamedTuple):
    """What a line says, or why it says nothing; `number` is where it begins, from 1."""

    number: int
    said: dict[str, Any] | Refused


class Intake:
    """One import, of one brand."""

    def __init__(self, house: House, kind: Kind, brand_id: str, *, is_csv: bool) -> None:
        self._house = house
        self._kind = kind
        self._brand_id = brand_id
        self._lines = Lines(blank=is_csv)
        self._table = _Table(kind) if is_csv else None

    def feed(self, piece: bytes) -> list[Record]:
        """The records that end in `piece`. `Refused` where the first line of CSV names no columns."""
        return [record for line in self._lines.feed(piece) for record in self._records(line)]

    def end(self) -> list[Record]:
        """The record that has begun."""
        rest = [record for line in self._lines.end() for record in self._records(line)]
        return rest + (list(self._table.end()) if self._table else [])

    async def verdicts(self, caller: Caller, records: list[Record]) -> list[ImportVerdict]:
        """Write those that can be, together; one verdict each, in order."""
        now = self._house.clock.now()
        read = [self._read(record, now) for record in records]
        good = [each for each in read if not isinstance(each, Refused)]
        written = iter(await self._kind.take(self._house, caller, self._brand_id, good) if good else [])
        return [
            _verdict(record.number, each if isinstance(each, Refused) else next(written))
            for record, each in zip(records, read, strict=True)
        ]

    def refused(self, records: list[Record], refused: Refused) -> list[ImportVerdict]:
        """The same verdict for all: nothing of them was written."""
        return [_verdict(record.number, refused) for record in records]

    def _records(self, line: Line) -> Iterator[Record]:
        if self._table:
            yield from self._table.feed(line)
        elif line.text is None:
            yield Record(line.number, too_large("line"))
        else:
            yield Record(line.number, self._parsed(line.text))

    def _parsed(self, text: bytes) -> dict[str, Any] | Refused:
        try:
            said = parsing.parse(text, self._kind.shape.__struct_encode_fields__)
        except Refused as refused:
            return refused
        return said if isinstance(said, dict) else invalid("The line must be a JSON object.")

    def _read(self, record: Record, now: datetime) -> Any:
        if isinstance(record.said, Refused):
            return record.said
        try:
            line: Any = parsing.convert(record.said, self._kind.shape, strict=self._table is None)
            if line.brand_id in {msgspec.UNSET, self._brand_id}:
                return self._kind.read(line, now)
        except Refused as refused:
            return refused
        return Refused(403, "forbidden", "The line names another brand than the import is for.")


class _Table:
    """CSV: the first record names the columns; a record goes on while a quote is open."""

    def __init__(self, kind: Kind) -> None:
        self._known = kind.columns
        self._names: list[str] | None = None
        self._begun: list[bytes] = []
        self._number = 0

    def feed(self, line: Line) -> Iterator[Record]:
        if line.text is None or len(line.text) + sum(map(len, self._begun)) > parsing.LARGEST_BODY:
            self._begun.clear()
            yield Record(line.number, too_large("line"))
            return
        if not self._begun and not line.text.strip():
            return
        self._number = self._number if self._begun else line.number
        self._begun.append(line.text)
        if sum(part.count(b'"') for part in self._begun) % 2 == 0:
            yield from self._ended()

    def end(self) -> Iterator[Record]:
        if self._begun:
            self._begun.clear()
            yield Record(self._number, invalid("The line opens a quote that is not closed."))

    def _ended(self) -> Iterator[Record]:
        text = b"\n".join(self._begun)
        self._begun.clear()
        try:
            cells = _cells(text)
        except Refused as refused:
            yield Record(self._number, refused)
            return
        if self._names is None:
            self._names = self._columns(cells)
        elif len(cells) != len(self._names):
            why = f"The line has {len(cells)} cells where the first line names {len(self._names)} columns."
            yield Record(self._number, invalid(why))
        else:
            said = {name: _unquoted(cell) for name, cell in zip(self._names, cells, strict=True) if cell}
            yield Record(self._number, said)

    def _columns(self, cells: list[str]) -> list[str]:
        names = [cell.strip().removeprefix("\ufeff").lower() for cell in cells]
        if not set(names) <= set(self._known) or len(set(names)) < len(names):
            why = f"The first line must name columns, each once, of these: {', '.join(self._known)}."
            raise invalid(why)
        return names


def quoted(cell: str) -> str:
    """As it goes out: text to a spreadsheet, whatever it begins with. A number's plus is harmless."""
    return f"'{cell}" if _FORMULA.match(cell) and not _HARMLESS.fullmatch(cell) else cell


def _unquoted(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _cells(text: bytes) -> list[str]:
    try:
        decoded = text.decode()
        if "\0" in decoded:
            raise invalid("The line holds a NUL character.")
        return next(csv.reader([decoded.rstrip("\r")], strict=True))
    except UnicodeDecodeError:
        raise invalid("The line is not UTF-8.") from None
    except csv.Error:
        raise invalid("The line is not valid CSV: write a quote inside a quoted cell twice.") from None


def _verdict(number: int, what: transfers.Written) -> ImportVerdict:
    if isinstance(what, Refused):
        return ImportVerdict(number, what.status, error=what.code, message=what.message)
    return ImportVerdict(number, 200, id=str(what))


def _at(given: str | UnsetType, member: str, now: datetime) -> datetime | None:
    if isinstance(given, UnsetType):
        return None
    instant = time.read(given, member).instant
    if instant > now:
        raise Refused(422, "said_in_future", f"{member} lies in the future; say when it was.")
    return instant


def _read_consent(line: ConsentLine, now: datetime) -> transfers.Said:
    about = About("", line.person_id, line.channel, line.category)
    return transfers.Said(about, line.opted_in, line.source, _at(line.changed_at, "changed_at", now))


def _read_preference(line: PreferenceLine, now: datetime) -> transfers.Said:
    about = About("", line.person_id, line.channel, line.category)
    return transfers.Said(about, line.enabled, None, _at(line.changed_at, "changed_at", now))


def _read_suppression(line: SuppressionLine, now: datetime) -> transfers.Suppressed:
    since = _at(line.suppressed_at, "suppressed_at", now)
    return transfers.Suppressed(*named(line), line.reason, line.source, since)


_SAID = ("brand_id", "person_id", "channel", "category")

KINDS = {
    "consents": Kind(
        ConsentLine,
        (*_SAID, "opted_in", "source", "changed_at"),
        _read_consent,
        partial(transfers.put_said, kind="consent"),
        partial(transfers.said, kind="consent"),
    ),
    "preferences": Kind(
        PreferenceLine,
        (*_SAID, "enabled", "changed_at"),
        _read_preference,
        partial(transfers.put_said, kind="preference"),
        partial(transfers.said, kind="preference"),
    ),
    "suppressions": Kind(
        SuppressionLine,
        ("brand_id", "email", "number", "device", "reason", "source", "suppressed_at"),
        _read_suppression,
        transfers.put_suppressed,
        transfers.standing,
    ),
}
"""By the names of their addresses, and of their commands."""
