"""SMPP where the other side misbehaves: what no server can be told to do is played, unit by unit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from comms.providers import smpp_line, smpp_pdu
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.providers.events import Event
from comms.providers.smpp_pdu import (
    RESPONSE,
    Address,
    Command,
    Garbled,
    Unit,
    address,
    delivered,
    submissions,
)
from tests.providers.contract import KEY, NUMBER, TEXT
from tests.providers.message_centre import smpp34
from tests.providers.smtp_servers import scripted
from tests.providers.test_smpp import NOW, PASSWORD, Ear, account

pytestmark = pytest.mark.anyio

Say = Callable[[Unit], None]
Part = Callable[[Unit, Say], Awaitable[None] | None]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comms.providers.smpp_keeper.FIRST_PAUSE", 0.01)
    monkeypatch.setattr(smpp_line, "_FINISH_SECONDS", 0.3)


@asynccontextmanager
async def playing(part: Part, *, binds: bool = True) -> AsyncIterator[tuple[int, list[Unit]]]:
    """A centre that answers a bind and plays `part` for whatever else is said; its port, and what was said."""
    said: list[Unit] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(unit: Unit) -> None:
            writer.write(unit.encode())

        try:
            while True:
                unit = await smpp_pdu.read(reader)
                said.append(unit)
                if binds and unit.command == Command.BIND_TRANSCEIVER:
                    say(unit.answer(body=b"centre\0"))
                elif unit.command == Command.UNBIND:
                    say(unit.answer())
                elif done := part(unit, say):
                    await done
        except (OSError, asyncio.IncompleteReadError):
            pass

    async with scripted(play) as port:
        yield port, said


async def outcome_of(part: Part, *, binds: bool = True, seconds: float = 5.0) -> tuple[Outcome, list[Unit]]:
    async with playing(part, binds=binds) as (port, said), account(port) as provider:
        return await provider.send(replace(TEXT, seconds=seconds)), said


def silent(_unit: Unit, _say: Say) -> None:
    """Reads, and says nothing."""


def takes(unit: Unit, say: Say) -> None:
    if unit.command == Command.SUBMIT_SM:
        say(unit.answer(body=b"7220\0"))


def hangs_up(_unit: Unit, _say: Say) -> None:
    raise ConnectionError


async def test_a_centre_that_is_down_is_tried_later_and_at_once() -> None:
    async with account(1) as provider:
        assert await provider.send(TEXT) == TryLater("connection")
        assert await provider.send(TEXT) == TryLater("connection")


async def test_a_name_that_nobody_has_is_tried_later() -> None:
    async with account(1, host="nobody.invalid") as provider:
        assert await provider.send(TEXT) == TryLater("connection")


async def test_a_host_that_can_be_no_name_is_our_set_up() -> None:
    async with account(1, host="a..b") as provider:
        assert await provider.send(TEXT) == Misconfigured("address_refused")


@pytest.mark.parametrize("part", [silent, hangs_up])
async def test_a_centre_that_does_not_bind_is_tried_later_not_doubted(part: Part) -> None:
    outcome, said = await outcome_of(part, binds=False, seconds=0.3)
    assert outcome == TryLater("connection")
    assert {unit.command for unit in said} == {Command.BIND_TRANSCEIVER}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0E, Misconfigured("smpp_0x0e")),
        (0x0F, Misconfigured("smpp_0x0f")),
        (0x0D, Misconfigured("smpp_0x0d")),
        (0x05, Misconfigured("smpp_0x05")),
        (0x66, Misconfigured("smpp_0x66")),
        (0x08, TryLater("smpp_0x08")),
        (0x58, TryLater("smpp_0x58")),
    ],
)
async def test_a_bind_that_is_refused_is_set_up_or_time(status: int, outcome: Outcome) -> None:
    assert (await outcome_of(lambda unit, say: say(unit.answer(status)), binds=False))[0] == outcome


async def test_a_password_that_can_be_none_is_our_set_up() -> None:
    async with playing(takes) as (port, said), account(port, password="пароль") as provider:
        assert await provider.send(TEXT) == Misconfigured("password_malformed")
        assert said == []


async def test_who_refuses_is_not_asked_at_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comms.providers.smpp_keeper.FIRST_PAUSE", 60)
    async with (
        playing(lambda unit, say: say(unit.answer(0x0E)), binds=False) as (port, said),
        account(port) as provider,
    ):
        outcomes = [await provider.send(TEXT) for _ in range(20)]
        assert set(outcomes) == {Misconfigured("smpp_0x0e")}
        assert len(said) == 1


async def test_it_binds_as_it_was_told() -> None:
    async with playing(takes) as (port, said), account(port, system_type="CMT") as provider:
        await provider.send(TEXT)
    assert said[0].body == b"comms\0" + PASSWORD.encode() + b"\0CMT\0" + b"\x34\0\0\0"


async def test_it_says_goodbye_and_hears_the_answer() -> None:
    async with playing(takes) as (port, said):
        async with account(port) as provider:
            await provider.send(TEXT)
        assert [unit.command for unit in said] == [
            Command.BIND_TRANSCEIVER,
            Command.SUBMIT_SM,
            Command.UNBIND,
        ]


async def test_no_answer_is_a_doubt_in_time() -> None:
    outcome, said = await outcome_of(silent, seconds=0.2)
    assert outcome == Lost("no_answer")
    assert [unit.command for unit in said][:2] == [Command.BIND_TRANSCEIVER, Command.SUBMIT_SM]


@pytest.mark.parametrize(
    "part",
    [
        hangs_up,
        lambda _unit, say: say(Unit(Command.UNBIND, 7)),
        lambda _unit, say: say(Unit(0, 0, body=b"x" * smpp_pdu.LARGEST)),
    ],
    ids=["hangs up", "unbinds", "talks nonsense"],
)
async def test_a_line_that_ends_before_the_answer_is_a_doubt(part: Part) -> None:
    outcome, said = await outcome_of(part)
    assert outcome == Lost("no_answer")
    assert sum(unit.command == Command.SUBMIT_SM for unit in said) == 1  # and nothing is said a second time


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0x03, Rejected("smpp_0x03")), (0x58, TryLater("smpp_0x58")), (0x0400, Rejected("smpp_0x400"))],
)
async def test_a_nack_refuses(status: int, outcome: Outcome) -> None:
    nack = lambda unit, say: say(Unit(Command.GENERIC_NACK, unit.sequence, status))  # noqa: E731
    assert (await outcome_of(nack))[0] == outcome


async def test_an_answer_to_something_else_is_passed_over() -> None:
    def confused(unit: Unit, say: Say) -> None:
        say(Unit(Command.SUBMIT_SM | RESPONSE, unit.sequence + 5, body=b"wrong\0"))
        say(Unit(Command.ENQUIRE_LINK | RESPONSE, unit.sequence))
        say(Unit(Command.GENERIC_NACK, 0))
        takes(unit, say)

    assert (await outcome_of(confused))[0] == Accepted("7220")


async def test_what_is_taken_without_an_id_is_taken() -> None:
    assert (await outcome_of(lambda unit, say: say(unit.answer())))[0] == Accepted(None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, Event(f"{KEY}/answered", "accepted", NOW, key=KEY, reference="7220", recipient=NUMBER)),
        (0x45, Event(f"{KEY}/answered", "failed", NOW, key=KEY, recipient=NUMBER, reason="smpp_0x45")),
        (0x58, None),
    ],
)
async def test_an_answer_that_comes_late_ends_the_doubt(status: int, expected: Event | None) -> None:
    now, ear = asyncio.Event(), Ear()

    async def late(unit: Unit, say: Say) -> None:
        await now.wait()
        say(unit.answer(status, b"7220\0"))

    async with playing(late) as (port, _), account(port, ear) as provider:
        assert await provider.send(replace(TEXT, seconds=0.2)) == Lost("no_answer")
        now.set()
    assert ear.heard == ([(TEXT.provider_id, expected)] if expected else [])


async def test_a_full_window_is_tried_later_not_doubted() -> None:
    async with playing(silent) as (port, said), account(port, window=2) as provider:
        outcomes = await asyncio.gather(*(provider.send(replace(TEXT, seconds=0.2)) for _ in range(5)))
        assert sorted(outcome.reason for outcome in outcomes) == ["no_answer"] * 2 + ["window_full"] * 3  # type: ignore[union-attr]
        assert sum(unit.command == Command.SUBMIT_SM for unit in said) == 2


async def test_a_call_that_is_cut_off_leaves_the_line_to_others() -> None:
    is_first = True

    def takes_the_second(unit: Unit, say: Say) -> None:
        nonlocal is_first
        if not is_first:
            takes(unit, say)
        is_first = False

    async with playing(takes_the_second) as (port, said), account(port) as provider:
        task = asyncio.create_task(provider.send(TEXT))
        while len(said) < 2:  # noqa: ASYNC110 - until the text is there
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await provider.send(TEXT) == Accepted("7220")


async def test_it_answers_who_asks() -> None:
    answers: list[Unit] = []

    def curious(unit: Unit, say: Say) -> None:
        if unit.command & RESPONSE:
            answers.append(unit)
        if unit.command == Command.SUBMIT_SM:
            for sequence, command in enumerate(
                [Command.ENQUIRE_LINK, Command.ALERT_NOTIFICATION, 0x103, Command.DELIVER_SM], 1
            ):
                say(Unit(command, sequence, body=b"\xff"))
            takes(unit, say)

    async with playing(curious) as (port, _), account(port) as provider:
        assert await provider.send(TEXT) == Accepted("7220")
    assert sorted((unit.command, unit.sequence, unit.status) for unit in answers) == [
        (Command.GENERIC_NACK, 3, 0x03),
        (Command.DELIVER_SM | RESPONSE, 4, 0x66),
        (Command.ENQUIRE_LINK | RESPONSE, 1, 0),
    ]


async def test_who_hands_over_too_much_at_once_is_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp_line, "_HEARING_AT_ONCE", 1)
    ear, answers, go = Ear(), [], asyncio.Event()
    text = smpp34.DeliverSm("1", "2", b"STOP").encode()[16:]

    async def slow(*_: Any) -> None:
        await go.wait()

    def eager(unit: Unit, say: Say) -> None:
        if unit.command & RESPONSE:
            answers.append(unit.status)
            go.set()
        if unit.command == Command.SUBMIT_SM:
            say(Unit(Command.DELIVER_SM, 1, body=text))
            say(Unit(Command.DELIVER_SM, 2, body=text))
            takes(unit, say)

    monkeypatch.setattr(ear, "hear", slow)
    async with playing(eager) as (port, _), account(port, ear) as provider:
        await provider.send(TEXT)
    assert answers == [0x64, 0]


async def test_a_line_on_which_nobody_answers_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp_line, "ENQUIRE_SECONDS", 0.01)
    monkeypatch.setattr(smpp_line, "LINK_SECONDS", 0.05)

    def deaf(unit: Unit, say: Say) -> None:
        if unit.command == Command.SUBMIT_SM:
            takes(unit, say)

    async with playing(deaf) as (port, said), account(port) as provider:
        assert await provider.send(TEXT) == Accepted("7220")
        line = provider._keeper._found.result()  # type: ignore[union-attr]
        await line.ended.wait()  # type: ignore[union-attr]
        assert said[-1].command == Command.ENQUIRE_LINK


async def test_a_line_on_which_texts_get_no_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp_line, "ENQUIRE_SECONDS", 0.01)
    monkeypatch.setattr(smpp_line, "ANSWER_SECONDS", 0.05)

    def forgetful(unit: Unit, say: Say) -> None:
        if unit.command == Command.ENQUIRE_LINK:
            say(unit.answer())

    async with playing(forgetful) as (port, said), account(port) as provider:
        assert await provider.send(TEXT) == Lost("no_answer")
        assert Command.ENQUIRE_LINK in {unit.command for unit in said}


async def test_nothing_secret_or_personal_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    with capture_logs() as lines:
        for part in (takes, hangs_up, lambda unit, say: say(unit.answer(0x0B))):
            async with playing(part) as (port, said), account(port) as provider:
                shown += [await provider.send(TEXT), provider, *said]
        async with (
            playing(lambda unit, say: say(unit.answer(0x0E)), binds=False) as (port, _),
            account(port) as provider,
        ):
            shown += [await provider.send(TEXT)]
    text = " ".join([caplog.text, repr(lines), repr(shown), repr(address(NUMBER))])
    assert [word for word in (PASSWORD, NUMBER[1:], "Ada") if word in text] == []


@given(
    st.sampled_from(["Hi Ada", "ж" * 60, "é€" * 100, "🙂" * 200]),
    st.sampled_from(["+15555550100", "Clinic", "12345"]),
    st.floats(0, 10**8),
    st.integers(0, 255),
)
def test_another_codec_reads_what_we_say(body: str, source: str, seconds: float, reference: int) -> None:
    for sent in submissions(address(source), address(NUMBER), body, seconds, reference):
        read = smpp34.decode(Unit(Command.SUBMIT_SM, 1, body=sent).encode())
        assert isinstance(read, smpp34.SubmitSm)
        assert (read.destination_addr, read.source_addr) == (NUMBER[1:], source.removeprefix("+"))
        assert len(read.short_message) == read.sm_length <= 160
        assert len(read.validity_period) == 16


@pytest.mark.parametrize(
    ("seconds", "period"),
    [
        (0, "000000000100000R"),
        (14_400, "000000040000000R"),
        (90_061, "000001010101000R"),
        (1e9, "000030000000000R"),
    ],
)
def test_what_is_worth_nothing_later_is_dropped_there(seconds: float, period: str) -> None:
    [sent] = submissions(address("Clinic"), address(NUMBER), "Hi", seconds, 0)
    read: Any = smpp34.decode(Unit(Command.SUBMIT_SM, 1, body=sent).encode())
    assert read.validity_period == period


@given(
    st.binary(max_size=160),
    st.binary(max_size=40),
    st.sampled_from([0, 0x40]),
    st.sampled_from([0, 1, 3, 8, 246]),
)
def test_what_another_codec_says_is_read(octets: bytes, payload: bytes, esm_class: int, coding: int) -> None:
    tlvs = [smpp34.Tlv(0x0424, payload), smpp34.Tlv(0x1403, b"its own")]
    said = smpp34.DeliverSm(
        "15555550123",
        "12345",
        octets,
        source_addr_ton=1,
        source_addr_npi=1,
        esm_class=esm_class,
        data_coding=coding,
        tlvs=tlvs,
    )
    read = delivered(said.encode()[16:])
    assert (read.source, read.to) == (Address(1, 1, "15555550123"), Address(0, 0, "12345"))
    assert (read.octets, read.parameters) == (octets, {0x0424: payload, 0x1403: b"its own"})
    assert read.text is None or isinstance(read.text, str)


@given(st.binary(max_size=80))
def test_what_is_no_unit_is_garbled(body: bytes) -> None:
    try:
        read = delivered(body)
    except Garbled:
        return
    assert read.text is None or isinstance(read.text, str)
