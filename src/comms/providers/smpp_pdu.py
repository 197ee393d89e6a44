"""What is said over SMPP 3.4: its units (protocol data units), and texts as they stand in them.

Issue 1.2 of the specification: sections 3.2 (header), 4 (units), 5.2 (fields), 5.3 (optional parameters).
A long text goes as segments with a header each (3GPP TS 23.040, section 9.2.3.24.1).
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from comms.domain.segments import BASIC, ESCAPE, EXTENDED, segments, split

LARGEST = 65_536
_HEADER = struct.Struct(">IIII")
_PARAMETER = struct.Struct(">HH")
_GSM = {character: bytes([code]) for code, character in enumerate(BASIC)} | {
    character: bytes([ESCAPE, code]) for character, code in EXTENDED.items()
}
_EXTENDED = {code: character for character, code in EXTENDED.items()}
_HAS_HEADER = 0x40
_ALPHABETS = {1: "ascii", 3: "latin-1", 8: "utf-16-be"}
"""data_coding (section 5.2.19); 0, the centre's own, is taken for GSM-7, an octet a character."""


class Command(IntEnum):
    """The units that we say or hear; an answer is its request with RESPONSE."""

    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    ENQUIRE_LINK = 0x15
    ALERT_NOTIFICATION = 0x102
    GENERIC_NACK = 0x8000_0000


RESPONSE = 0x8000_0000


class Status(IntEnum):
    """The statuses that we answer with (section 5.1.3)."""

    OK = 0x00
    UNKNOWN_COMMAND = 0x03
    NOT_NOW = 0x64
    NEVER = 0x66


class Garbled(Exception):
    """What was said is no unit of SMPP's."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `sequence` is what an answer has in common with its request."""

    command: int
    sequence: int
    status: int = Status.OK
    body: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """As it goes over the line."""
        head = _HEADER.pack(_HEADER.size + len(self.body), self.command, self.status, self.sequence)
        return head + self.body

    def answer(self, status: int = Status.OK, body: bytes = b"") -> Unit:
        """What is said to this request."""
        return Unit(self.command | RESPONSE, self.sequence, status, body)


async def read(reader: asyncio.StreamReader) -> Unit:
    """The next unit. Raises Garbled, or asyncio.IncompleteReadError at the end."""
    length, command, status, sequence = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if not _HEADER.size <= length <= LARGEST:
        raise Garbled
    return Unit(command, sequence, status, await reader.readexactly(length - _HEADER.size))


@dataclass(frozen=True, slots=True)
class Address:
    """A number, a short code or a name, with what it is (sections 5.2.5 and 5.2.6)."""

    ton: int
    npi: int
    text: str = field(repr=False)

    def encode(self) -> bytes:
        """As a field."""
        return bytes([self.ton, self.npi]) + _string(self.text)


def address(text: str) -> Address:
    """International where it is long enough to be; else a short code (network specific), or a name."""
    digits = text.removeprefix("+")
    if not digits.isdecimal():
        return Address(5, 0, text)
    return Address(1, 1, digits) if text != digits or len(digits) > 8 else Address(3, 0, digits)


def bind(system_id: str, password: str, system_type: str) -> bytes:
    """For both directions on one line, as version 3.4."""
    return _string(system_id) + _string(password) + _string(system_type) + bytes([0x34, 0, 0]) + b"\0"


def submissions(source: Address, to: Address, text: str, seconds: float, reference: int) -> list[bytes]:
    """A text, a body a segment; the last asks for a receipt. `reference` (0 to 255) holds them together."""
    coding = 0 if segments(text).encoding == "GSM-7" else 8
    parts = [_octets(part, coding) for part in split(text)]
    if len(parts) > 1:
        head = bytes([5, 0, 3, reference, len(parts)])
        parts = [head + bytes([n]) + part for n, part in enumerate(parts, 1)]
    esm_class = _HAS_HEADER if len(parts) > 1 else 0
    addressed = b"\0" + source.encode() + to.encode()
    ends = _string(_validity(seconds))
    return [
        b"".join([
            addressed,
            bytes([esm_class, 0, 0, 0]),  # protocol, priority; sent at once
            ends,
            bytes([n == len(parts), 0, coding, 0, len(part)]),
            part,
        ])
        for n, part in enumerate(parts, 1)
    ]  # fmt: skip


def message_id(body: bytes) -> str | None:
    """The centre's own id, of an answer to a submission."""
    return body.partition(b"\0")[0].decode("latin-1") or None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the centre hands us: a receipt, or a person's text. `parameters` by their tags."""

    source: Address
    to: Address
    esm_class: int
    coding: int
    octets: bytes = field(repr=False)
    parameters: dict[int, bytes] = field(repr=False)

    @property
    def text(self) -> str | None:
        """Without the header that holds segments together; None where it is not text."""
        octets = self.octets or self.parameters.get(_PAYLOAD, b"")
        if self.esm_class & _HAS_HEADER and octets:
            octets = octets[1 + octets[0] :]
        if self.coding == 0:
            return _from_gsm(octets)
        alphabet = _ALPHABETS.get(self.coding)
        return octets.decode(alphabet, errors="replace") if alphabet else None


_PAYLOAD = 0x0424


def delivered(body: bytes) -> Delivered:
    """A deliver_sm (section 4.6.1). Raises Garbled."""
    fields = _Fields(body)
    fields.string()  # service_type
    source, to = fields.address(), fields.address()
    esm_class, _protocol, _priority = fields.octets(3)
    fields.string()  # schedule_delivery_time
    fields.string()  # validity_period
    _registered, _replace, coding, _canned, length = fields.octets(5)
    return Delivered(source, to, esm_class, coding, fields.octets(length), fields.parameters())


class _Fields:
    """A body, read field by field."""

    def __init__(self, body: bytes) -> None:
        self._rest = body

    def octets(self, count: int) -> bytes:
        if len(self._rest) < count:
            raise Garbled
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def string(self) -> str:
        taken, end, self._rest = self._rest.partition(b"\0")
        if not end:
            raise Garbled
        return taken.decode("latin-1")

    def address(self) -> Address:
        ton, npi = self.octets(2)
        return Address(ton, npi, self.string())

    def parameters(self) -> dict[int, bytes]:
        found = {}
        while self._rest:
            tag, length = _PARAMETER.unpack(self.octets(_PARAMETER.size))
            found[tag] = self.octets(length)
        return found


def _string(text: str) -> bytes:
    return text.encode("ascii") + b"\0"


def _validity(seconds: float) -> str:
    """How long it is worth trying, relative to now (section 7.1.1), from a minute to a month."""
    minutes, second = divmod(min(max(60, int(seconds)), 30 * 86_400), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"0000{day:02}{hour:02}{minute:02}{second:02}000R"


def _octets(text: str, coding: int) -> bytes:
    return text.encode("utf-16-be") if coding == 8 else b"".join(_GSM[character] for character in text)


def _from_gsm(octets: bytes) -> str:
    """An octet beyond the alphabet is Latin-1 of a centre that says nothing of it."""
    text, codes = [], iter(octets)
    for code in codes:
        if code == ESCAPE:
            text.append(_EXTENDED.get(next(codes, ESCAPE), " "))
        else:
            text.append(BASIC[code] if code < len(BASIC) else chr(code))
    return "".join(text)
