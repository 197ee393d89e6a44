"""The SMPP provider against a real message centre: what arrives, what each answer becomes, what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from comms.domain.content import Rendered
from comms.domain.errors import Refused
from comms.providers import catalogue, smpp
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.events import Event, Happening, Inbound
from comms.providers.http import Http
from comms.providers.kind import Tools
from tests.providers.contract import TEXT
from tests.providers.message_centre import Answer, centre, smpp34

pytestmark = pytest.mark.anyio

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SETTINGS = {"host": "127.0.0.1", "port": 2775, "system_id": "comms", "source": "+15555550100"}
PASSWORD = "s3cr3t"


class Ear:
    """What is heard, by whom; deaf as long as it is told to be."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Happening]] = []
        self.is_deaf = False
        self._is_there = asyncio.Event()

    async def hear(self, provider_id: str, happenings: list[Happening]) -> None:
        if self.is_deaf:
            raise ConnectionError
        self.heard += [(provider_id, each) for each in happenings]
        self._is_there.set()

    async def one(self) -> Any:
        """The next one, soon."""
        async with asyncio.timeout(5):
            await self._is_there.wait()
        self._is_there.clear()
        return self.heard[-1][1]


@asynccontextmanager
async def account(
    port: int, ear: Ear | None = None, password: str = PASSWORD, **changes: Any
) -> AsyncIterator[smpp.Smpp]:
    """The adapter, built as a worker builds it."""
    settings = {**SETTINGS, "port": port, **changes}
    catalogue.check("smpp", settings, {"password"})
    tools = Tools(None, None, (ear or Ear()).hear, no_time, lambda: NOW, Http())  # type: ignore[arg-type]
    provider = catalogue.build("smpp", settings, {"password": password}, tools)
    assert isinstance(provider, smpp.Smpp)
    yield provider
    await provider.close()


async def no_time(_seconds: float) -> None:
    await asyncio.sleep(0)


def text(body: str) -> Outgoing:
    return replace(TEXT, content=Rendered(None, body))


async def outcome_of(
    *answers: Answer, outgoing: Outgoing = TEXT, **changes: Any
) -> tuple[Outcome, list[Any]]:
    """One text, and what was said of it; the last answer stays."""
    left = list(answers)
    async with (
        centre(lambda _: left.pop(0) if len(left) > 1 else left[0]) as there,
        account(there.port, **changes) as provider,
    ):
        return await provider.send(outgoing), there.said


async def test_a_text_arrives_as_it_is() -> None:
    outcome, [said] = await outcome_of("7220")
    assert outcome == Accepted("7220")
    assert (said.destination_addr, said.dest_addr_ton, said.dest_addr_npi) == ("15555550123", 1, 1)
    assert (said.source_addr, said.source_addr_ton, said.source_addr_npi) == ("15555550100", 1, 1)
    assert (said.short_message, said.data_coding, said.esm_class) == (b"Hi Ada: 9:30", 0, 0)
    assert said.registered_delivery == 1


@pytest.mark.parametrize(
    ("body", "coding", "octets"),
    [
        ("@£$ {Grüße} 5 €", 0, b"\x00\x01\x02 \x1b\x28Gr\x7e\x1ee\x1b\x29 5 \x1be"),
        ("a" * 160, 0, b"a" * 160),
        ("Привет 🙂", 8, "Привет 🙂".encode("utf-16-be")),
        ("ж" * 70, 8, "ж".encode("utf-16-be") * 70),
    ],
)
async def test_a_text_takes_the_smallest_alphabet_that_holds_it(
    body: str, coding: int, octets: bytes
) -> None:
    _, [said] = await outcome_of("1", outgoing=text(body))
    assert (said.data_coding, said.short_message, said.esm_class) == (coding, octets, 0)


@pytest.mark.parametrize(
    ("body", "coding", "octets"), [("a" * 400, 0, b"a" * 400), ("ж" * 150, 8, "ж".encode("utf-16-be") * 150)]
)
async def test_a_long_text_goes_in_segments_and_the_last_one_asks_for_a_receipt(
    body: str, coding: int, octets: bytes
) -> None:
    outcome, said = await outcome_of("1", "2", "3", outgoing=text(body))
    assert outcome == Accepted("3")
    assert [(each.data_coding, each.esm_class, each.registered_delivery) for each in said] == [
        (coding, 0x40, 0),
        (coding, 0x40, 0),
        (coding, 0x40, 1),
    ]
    heads, parts = [each.short_message[:6] for each in said], [each.short_message[6:] for each in said]
    assert b"".join(parts) == octets
    assert max(len(part) for part in parts) <= (153 if coding == 0 else 134)
    assert [head[:3] + head[4:] for head in heads] == [bytes([5, 0, 3, 3, n]) for n in (1, 2, 3)]
    assert len({head[3] for head in heads}) == 1


async def test_two_long_texts_are_told_apart() -> None:
    async with centre() as there, account(there.port) as provider:
        for _ in range(2):
            await provider.send(text("a" * 200))
        references = [each.short_message[3] for each in there.said]
    assert references == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"source": "Clinic"}, ("Clinic", 5, 0)),
        ({"source": "12345"}, ("12345", 3, 0)),
        ({"source": "15555550100"}, ("15555550100", 1, 1)),
        ({"source": "12345", "source_ton": 0, "source_npi": 1}, ("12345", 0, 1)),
    ],
)
async def test_a_source_is_said_as_what_it_is(
    settings: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    _, [said] = await outcome_of("1", **settings)
    assert (said.source_addr, said.source_addr_ton, said.source_addr_npi) == expected


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0B, Rejected("smpp_0x0b", bad_recipient=True)),
        (0x01, Rejected("smpp_0x01")),
        (0x45, Rejected("smpp_0x45")),
        (0x65, Rejected("smpp_0x65")),
        (0x66, Rejected("smpp_0x66")),
        (0x58, TryLater("smpp_0x58")),
        (0x14, TryLater("smpp_0x14")),
        (0x08, TryLater("smpp_0x08")),
        (0x64, TryLater("smpp_0x64")),
        (0x0A, Misconfigured("smpp_0x0a")),
        (0x04, Misconfigured("smpp_0x04")),
        (0x50, Misconfigured("smpp_0x50")),
    ],
    ids=lambda value: f"{value:#x}" if isinstance(value, int) else "",
)
async def test_each_status_has_its_meaning(status: int, outcome: Outcome) -> None:
    assert (await outcome_of(status))[0] == outcome


def test_a_status_that_nobody_knows_refuses_for_good() -> None:
    assert smpp._meaning(0x0400) == Rejected("smpp_0x400")


def test_no_status_means_two_things() -> None:
    statuses = [*smpp._BAD_RECIPIENT, *smpp._LATER, *smpp._OUR_SETUP]
    assert len(statuses) == len(set(statuses))


async def test_many_at_once_share_one_line() -> None:
    async with (
        centre(lambda said: said.short_message.decode()) as there,
        account(there.port, window=5) as provider,
    ):
        outcomes = await asyncio.gather(*(provider.send(text(str(n))) for n in range(100)))
        assert outcomes == [Accepted(str(n)) for n in range(100)]
        assert len(there.bound) == 1


async def test_a_line_that_is_too_quick_is_quiet_for_a_while() -> None:
    async with centre(lambda _: 0x58) as there, account(there.port) as provider:
        assert await provider.send(TEXT) == TryLater("smpp_0x58")
        assert await provider.send(TEXT) == TryLater("smpp_0x58", after=1.0)
        assert len(there.said) == 1


LONG = text("a" * 400)


async def test_a_long_text_that_is_refused_was_refused_whole() -> None:
    outcome, said = await outcome_of(0x0B, outgoing=LONG)
    assert (outcome, len(said)) == (Rejected("smpp_0x0b", bad_recipient=True), 1)


async def test_a_long_text_that_is_half_said_is_finished() -> None:
    outcome, said = await outcome_of("1", 0x58, 0x14, "2", "3", outgoing=LONG)
    assert outcome == Accepted("3")
    assert [each.short_message[5] for each in said] == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("refusal", [0x45, 0x0A])
async def test_a_long_text_that_can_not_be_finished_is_a_doubt(refusal: int) -> None:
    outcome, said = await outcome_of("1", refusal, outgoing=LONG)
    assert (outcome, len(said)) == (Lost("smpp_partly_taken"), 2)


async def test_a_long_text_is_not_tried_beyond_its_time() -> None:
    outcome, _ = await outcome_of("1", 0x58, outgoing=replace(LONG, seconds=0.5))
    assert outcome == Lost("smpp_partly_taken")


async def test_a_text_of_too_many_segments_is_not_begun() -> None:
    async with account(1) as provider:
        assert await provider.send(text("a" * 153 * 256)) == Rejected("too_large")


@pytest.mark.parametrize(
    ("stat", "expected", "reason"),
    [
        ("DELIVRD", "delivered", None),
        ("ACCEPTD", "accepted", None),
        ("ENROUTE", "accepted", None),
        ("UNDELIV", "failed", "smpp_undeliv_042"),
        ("EXPIRED", "failed", "smpp_expired_042"),
        ("REJECTD", "failed", "smpp_rejectd_042"),
        ("DELETED", "failed", "smpp_deleted_042"),
    ],
)
async def test_a_receipt_says_what_became_of_a_text(stat: str, expected: Any, reason: str | None) -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        await provider.send(TEXT)
        assert await there.receipt("7220", stat) == 0
    [(provider_id, event)] = ear.heard
    assert provider_id == TEXT.provider_id
    assert event == Event(
        f"7220/{stat}", expected, NOW, reference="7220", recipient="+15555550123", reason=reason
    )


async def test_a_receipt_may_be_parameters_alone() -> None:
    tlvs = [
        smpp34.Tlv(0x001E, b"7220\0"),
        smpp34.Tlv(0x0427, b"\x02"),
    ]
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        assert await there.deliver(b"", esm_class=4, tlvs=tlvs) == 0
    assert ear.heard == [
        ("texts", Event("7220/DELIVRD", "delivered", NOW, reference="7220", recipient="+15555550123"))
    ]


@pytest.mark.parametrize(
    ("ids", "taken_as", "receipt_says", "reference"),
    [
        ("as_given", "00AbC", "00AbC", "00AbC"),
        ("decimal", "1C34", "0000007220", "7220"),
        ("hex", "7220", "1c34", "7220"),
        ("hex", "no-number", "no-number", "no-number"),
    ],
)
async def test_a_receipt_is_known_again_in_whatever_base_it_writes(
    ids: str, taken_as: str, receipt_says: str, reference: str
) -> None:
    ear = Ear()
    async with centre(lambda _: taken_as) as there, account(there.port, ear, receipt_ids=ids) as provider:
        assert await provider.send(TEXT) == Accepted(reference)
        await there.receipt(receipt_says, "DELIVRD")
    event: Any = ear.heard[0][1]
    assert event.reference == reference


@pytest.mark.parametrize("stat", ["UNKNOWN", "NEWSTAT"])
async def test_a_receipt_that_says_nothing_is_taken_and_passed_over(stat: str) -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        assert await there.receipt("7220", stat) == 0
        assert await there.deliver(b"no receipt at all", esm_class=4) == 0
    assert ear.heard == []


@pytest.mark.parametrize(
    ("octets", "fields", "expected"),
    [
        (b"STOP", {}, "STOP"),
        ("Стоп".encode("utf-16-be"), {"data_coding": 8}, "Стоп"),
        (b"\x05\x00\x03\x07\x02\x01STOP", {"esm_class": 0x40}, "STOP"),
        ("Ende für heute".encode("latin-1"), {"data_coding": 3}, "Ende für heute"),
        (b"\x1be 5\x00\x1b", {}, "€ 5@ "),
    ],
)
async def test_a_persons_text_is_heard(octets: bytes, fields: dict[str, Any], expected: str) -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        assert await there.deliver(octets, **fields) == 0
    [(provider_id, said)] = ear.heard
    assert isinstance(said, Inbound)
    assert (provider_id, said.sender, said.to, said.text, said.at) == (
        "texts",
        "+15555550123",
        "+15555550100",
        expected,
        NOW,
    )


async def test_a_text_to_a_short_code_names_it_as_it_is() -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        await there.deliver(b"HELP", destination_addr="12345", dest_addr_ton=3)
    said: Any = ear.heard[0][1]
    assert said.to == "12345"


async def test_a_long_text_may_come_beside_the_message() -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        await there.deliver(b"", tlvs=[smpp34.Tlv(0x0424, b"x" * 300)])
    said: Any = ear.heard[0][1]
    assert said.text == "x" * 300


@pytest.mark.parametrize(
    "fields", [{"data_coding": 4}, {"esm_class": 0x08}], ids=["a picture", "a handset's own receipt"]
)
async def test_what_is_no_text_is_taken_and_passed_over(fields: dict[str, Any]) -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        assert await there.deliver(b"abc", **fields) == 0
    assert ear.heard == []


async def test_what_can_not_be_kept_now_is_asked_for_again() -> None:
    ear = Ear()
    async with centre() as there, account(there.port, ear) as provider:
        provider.listen("texts")
        ear.is_deaf = True
        assert await there.deliver(b"STOP") == 0x64
        ear.is_deaf = False
        assert await there.deliver(b"STOP") == 0
    assert len(ear.heard) == 1


async def test_one_that_was_never_used_has_nothing_to_close() -> None:
    async with account(1):
        pass


async def test_a_line_that_ended_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comms.providers.smpp_keeper.FIRST_PAUSE", 0.01)
    async with centre() as there, account(there.port) as provider:
        assert isinstance(await provider.send(TEXT), Accepted)
        await there.bound[-1].unbind()
        await there.until(lambda: len(there.bound) == 2)
        assert isinstance(await provider.send(TEXT), Accepted)
        assert len(there.said) == 2


@pytest.mark.parametrize("tls", ["tls", "none"])
async def test_phi_goes_over_tls_alone(authority: trustme.CA, tls: str) -> None:
    async with centre() as there, in_front(there.port, authority) as port:
        pem = authority.cert_pem.bytes().decode()
        reached = port if tls == "tls" else there.port
        async with account(reached, host="localhost", tls=tls, ca=pem) as provider:
            outcome = await provider.send(replace(TEXT, hipaa=True))
        assert outcome == (Accepted("7220") if tls == "tls" else Misconfigured("tls_required"))
        assert len(there.bound) == (tls == "tls")
    may = catalogue.KINDS["smpp"].may_carry_phi
    assert may(SETTINGS | {"tls": tls}) is (tls == "tls")
    assert not may(SETTINGS)


@pytest.mark.parametrize(
    ("host", "known"), [("localhost", False), ("127.0.0.1", True)], ids=["a stranger", "another's name"]
)
async def test_a_certificate_that_does_not_verify_stops_it(
    authority: trustme.CA, host: str, *, known: bool
) -> None:
    async with centre() as there, in_front(there.port, authority) as port:
        pem = (authority if known else trustme.CA()).cert_pem.bytes().decode()
        async with account(port, host=host, tls="tls", ca=pem) as provider:
            assert await provider.send(TEXT) == Misconfigured("certificate_refused")
        assert there.bound == []


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def in_front(port: int, authority: trustme.CA) -> AsyncIterator[int]:
    """TLS before a server that has none; its port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(4096):
                writer.write(octets)
                await writer.drain()
        writer.transport.abort()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, onward[1]), pump(onward[0], writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"port": 0}, "port"),
        ({"host": "smsc example"}, "host does not have the form"),
        ({"system_id": "sixteen-octets-x"}, "system_id does not have the form"),
        ({"source": ""}, "source does not have the form"),
        ({"tls": "starttls"}, "tls"),
        ({"ca": "none"}, "`ca` must be certificates"),
        ({"window": 0}, "window"),
        ({"systemid": "x"}, "did you mean system_id"),
    ],
)
def test_settings_that_can_not_be_are_refused_by_name(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        catalogue.check("smpp", SETTINGS | settings, {"password"})
