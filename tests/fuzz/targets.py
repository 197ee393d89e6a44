"""What the fuzzer drives: each takes bytes, and lets nothing out but what its callers are told to expect."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

from comms.domain import keywords, outside, schedule
from comms.domain.errors import Refused
from comms.domain.recipient import folded, normalise, on_the_wire
from comms.domain.segments import segments, split
from comms.http import intake, parsing
from comms.http.lines import Lines
from comms.http.shapes.brands import PutProvider
from comms.http.shapes.messages import Patch, Schedule
from comms.http.shapes.transfers import ConsentLine
from comms.privacy import addresses
from comms.privacy.cipher import Cipher
from comms.providers import smpp_pdu, smpp_receipts, subscription
from comms.providers.events import Forged, Incoming, Unreadable
from comms.render.versions import Source, publish
from tests.providers.signing import ADDRESS, VOICES, Folded
from tests.providers.test_vendor_events import read as read_call

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
CIPHER = Cipher("loop", {1: b"s" * 32}, b"h" * 32)
SHAPES = (Schedule, Patch, PutProvider)
CHANNELS = ("email", "sms", "push", "in_app")


def json_bodies(data: bytes) -> None:
    """Bodies of requests, of several shapes."""
    for shape in SHAPES:
        with contextlib.suppress(Refused):
            parsing.decode(data, shape)


def times(data: bytes) -> None:
    """`scheduled_at`; what is read can be shown, and read again as the same."""
    with contextlib.suppress(Refused):
        instant = schedule.read(_text(data)).instant
        shown = schedule.show(schedule.round_up(instant))
        assert schedule.read(shown).instant == schedule.round_up(instant)


def recipients(data: bytes) -> None:
    """Of each channel; what passed passes again, unchanged."""
    text = _text(data)
    for channel in CHANNELS:
        with contextlib.suppress(Refused):
            once = normalise(channel, text)
            assert normalise(channel, once) == once
            if channel == "email":
                on_the_wire(once)
                folded(once)
    with contextlib.suppress(Refused):
        outside.check_url(text, local=False)


def calls(data: bytes) -> None:
    """Vendors' webhooks: unsigned each is forged; signed it is read, or said to be unreadable."""
    voice, body = VOICES[data[0] % len(VOICES) if data else 0], data[1:]
    names = voice.call({}).headers
    value = body[:40].decode("latin-1")
    for headers in ({}, dict.fromkeys(names, value)):
        with contextlib.suppress(Forged):
            read_call(voice, Incoming(ADDRESS, Folded(headers), body, NOW))
            raise AssertionError("what nobody signed was believed")
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(body)
        with contextlib.suppress(Forged, Unreadable):
            read_call(voice, voice.call(said))


def signed_addresses(data: bytes) -> None:
    """Links to our own pages: what we did not sign is not ours."""
    text = data.decode("latin-1")
    for purpose in get_args(addresses.Purpose):
        with contextlib.suppress(addresses.NotSigned):
            addresses.brand_of(text)
            addresses.read(CIPHER, text, purpose, NOW)
            raise AssertionError("what nobody signed was believed")


def templates(data: bytes) -> None:
    """Published where they can be, and rendered: within bounds, and never to a surprise."""
    source, _, given = _text(data).partition("\0")
    variables = {"name": given, "n": len(given), "list": list(given[:5]), "a": {"b": given[:9]}}
    for channel in ("sms", "email"):
        with contextlib.suppress(Refused):
            version = publish(Source(channel, source, subject="Hi {{ name }}"))
            version.prove(variables, hipaa=False)
            version.render(variables)
            version.preview({})


def units(data: bytes) -> None:
    """SMPP: what a message centre says, and what we say to it."""
    with contextlib.suppress(smpp_pdu.Garbled):
        said = smpp_pdu.delivered(data)
        for ids in get_args(smpp_receipts.ReceiptIds):
            smpp_receipts.happening("key", said, ids, NOW)
    smpp_pdu.message_id(data)
    asyncio.run(_units(data))
    text = _text(data)[:700]
    for part in smpp_pdu.submissions(smpp_pdu.address("+1"), smpp_pdu.address("12345"), text, 60, 7):
        assert len(part) < smpp_pdu.LARGEST


async def _units(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with contextlib.suppress(smpp_pdu.Garbled, asyncio.IncompleteReadError):
        while True:
            unit = await smpp_pdu.read(reader)
            assert unit.encode()[16:] == unit.body


def tables(data: bytes) -> None:
    """Imports: NDJSON and CSV, however the pieces are cut."""
    kind = intake.KINDS["consents"]
    for is_csv in (False, True):
        with contextlib.suppress(Refused):
            taken = intake.Intake(None, kind, "loop", is_csv=is_csv)  # type: ignore[arg-type]
            cut = len(data) // 2
            for record in [*taken.feed(data[:cut]), *taken.feed(data[cut:]), *taken.end()]:
                with contextlib.suppress(Refused):
                    if isinstance(record.said, dict):
                        kind.read(parsing.convert(record.said, ConsentLine, strict=not is_csv), NOW)
    whole, halves = Lines(), Lines()
    at_once = [*whole.feed(data), *whole.end()]
    assert at_once == [*halves.feed(data[:3]), *halves.feed(data[3:]), *halves.end()]


def texts(data: bytes) -> None:
    """Persons' answers, browsers' subscriptions, and how many segments a text takes."""
    text = _text(data)
    keywords.keyword(text)
    with contextlib.suppress(subscription.NoSubscription):
        subscription.read(text)
    assert segments(text).count == len(split(text)) or not text


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


TARGETS: dict[str, Callable[[bytes], Any]] = {
    each.__name__: each
    for each in (json_bodies, times, recipients, calls, signed_addresses, templates, units, tables, texts)
}
