"""The SMTP provider against real servers: what each answer becomes, and what arrives."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme
from hypothesis import example, given
from hypothesis import strategies as st

from comms.domain.content import Rendered
from comms.domain.errors import Refused
from comms.providers import catalogue
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, Sender, TryLater
from comms.providers.smtp import Smtp, SmtpSettings, Stage, classify
from comms.providers.smtp_mail import compose
from tests.providers.smtp_servers import mailbox, mails, scripted, sink

pytestmark = pytest.mark.anyio

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)

OUTGOING = Outgoing(
    message_id=UUID(int=7),
    key="key-0",
    brand_id="loop",
    person_id="p1",
    channel="email",
    provider_id="mail",
    recipient="ada@example.org",
    content=Rendered(body="<p>Hi <b>Ada</b></p>", subject="Your visit", text="Hi Ada"),
    sender=Sender("care@loop.test", "Loop", "help@loop.test"),
)


def client(port: int, password: str | None = None, **settings: Any) -> Smtp:
    settings = {"host": "localhost", "tls": "none", **settings}
    return Smtp(SmtpSettings(port=port, **settings), password, lambda: NOW)


async def handed(smtp: Smtp, outgoing: Outgoing = OUTGOING) -> Outcome:
    outcome = await smtp.send(outgoing)
    await smtp.close()
    return outcome


async def test_a_mail_arrives_as_text_and_html_from_the_brand(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        outcome = await handed(client(port))
    assert isinstance(outcome, Accepted)
    [(mail, envelope)] = mails(tmp_path)
    assert "<care@loop.test>" in envelope
    assert "<ada@example.org>" in envelope
    assert mail["From"] == "Loop <care@loop.test>"
    assert mail["Reply-To"] == "help@loop.test"
    assert mail["Message-ID"] == "<key-0@loop.test>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = (mail.get_body([kind]) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Hi Ada"
    assert html.get_content().strip() == "<p>Hi <b>Ada</b></p>"


async def test_every_attempt_has_the_same_message_id(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        for attempt in (1, 2):
            await handed(client(port), replace(OUTGOING, attempt=attempt))
    assert {mail["Message-ID"] for mail, _ in mails(tmp_path)} == {"<key-0@loop.test>"}
    assert len(mails(tmp_path)) == 2


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (["-r", "RCPT", "-b", "451 4.7.1 later"], TryLater("smtp_4.7.1", after=300, of_message=True)),
        (["-r", "RCPT", "-b", "452 4.2.2 full"], TryLater("smtp_4.2.2", of_message=True)),
        (["-r", "MAIL", "-b", "451 4.3.0 busy"], TryLater("smtp_4.3.0")),
        (["-r", ".", "-b", "451 4.3.0 busy"], TryLater("smtp_4.3.0")),
        (["-r", "CONNECT", "-b", "421 4.3.2 closing"], TryLater("smtp_4.3.2")),
        (["-Q", "CONNECT"], TryLater("smtp_4.0.0")),
        (["-Q", "DATA"], TryLater("smtp_4.0.0")),
        (["-f", "RCPT", "-B", "550 5.1.1 unknown"], Rejected("smtp_5.1.1", bad_recipient=True)),
        (["-f", "RCPT", "-B", "550 no such user"], Rejected("smtp_550", bad_recipient=True)),
        (["-f", "RCPT", "-B", "550 5.7.1 policy"], Rejected("smtp_5.7.1")),
        (["-f", ".", "-B", "554 5.6.0 content"], Rejected("smtp_5.6.0")),
        (["-f", ".", "-B", "550 5.7.26 dmarc"], Misconfigured("smtp_5.7.26")),
        (["-f", "MAIL", "-B", "550 5.7.1 you are on a list"], Misconfigured("smtp_5.7.1")),
        (["-f", "CONNECT", "-B", "554 no service for you"], Misconfigured("smtp_554")),
        (["-f", "MAIL", "-B", "530 5.7.0 log in"], Misconfigured("smtp_5.7.0")),
        (["-q", "RCPT"], TryLater("connection")),
        (["-q", "."], Lost("no_answer_after_data")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_each_answer_has_its_meaning(tmp_path: Path, options: list[str], outcome: Outcome) -> None:
    with sink(tmp_path, *options) as port:
        assert await handed(client(port)) == outcome


async def test_one_connection_carries_many_mails_even_after_a_refusal(tmp_path: Path) -> None:
    with sink(tmp_path, "-m", "1") as port:  # one connection at a time is all that this server takes
        smtp = client(port)
        for _ in range(3):
            assert isinstance(await smtp.send(OUTGOING), Accepted)
        await smtp.close()
    with sink(tmp_path, "-m", "1", "-f", "RCPT", "-B", "550 5.1.1 unknown") as port:
        smtp = client(port)
        for _ in range(3):
            assert isinstance(await smtp.send(OUTGOING), Rejected)
        await smtp.close()


async def test_many_at_once_share_eight_connections(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        smtp = client(port)
        outcomes = await asyncio.gather(*(smtp.send(replace(OUTGOING, key=f"k{n}")) for n in range(50)))
        await smtp.close()
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len({mail["Message-ID"] for mail, _ in mails(tmp_path)}) == 50


async def test_a_server_that_is_down_is_tried_later() -> None:
    assert await handed(client(1)) == TryLater("connection")


async def test_a_server_that_says_nothing_is_tried_later_not_doubted() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as port:
        assert await handed(client(port, host="127.0.0.1"), replace(OUTGOING, seconds=0.1)) == TryLater(
            "connection"
        )


async def test_a_mail_that_is_cut_off_takes_its_connection_with_it() -> None:
    """Another mail on it would go to the first one's recipient, or inside its text."""
    seen: list[str] = []
    reached = asyncio.Event()

    async def stops_at_rcpt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("connected")
        writer.write(b"220 hello\r\n")
        async for line in reader:
            if line.startswith(b"RCPT"):
                reached.set()
                continue
            writer.write(b"250 ok\r\n")

    async with scripted(stops_at_rcpt) as port:
        smtp = client(port, host="127.0.0.1")
        for _ in range(2):
            task = asyncio.create_task(smtp.send(OUTGOING))
            await reached.wait()
            reached.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await smtp.close()
    assert seen == ["connected", "connected"]


async def test_an_address_outside_ascii_goes_out_where_the_server_takes_it() -> None:
    said: list[bytes] = []

    async def takes_utf8(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        in_mail = False
        async for line in reader:
            said.append(line)
            if in_mail and line != b".\r\n":
                continue
            in_mail = line == b"DATA\r\n"
            writer.write(b"354 go\r\n" if in_mail else b"250-ok\r\n250 SMTPUTF8\r\n")

    async with scripted(takes_utf8) as port:
        outcome = await handed(
            client(port, host="127.0.0.1"), replace(OUTGOING, recipient="josé@example.org")
        )
    assert isinstance(outcome, Accepted)
    assert "RCPT TO:<josé@example.org>\r\n".encode() in said
    assert any(line.startswith(b"MAIL") and b"SMTPUTF8" in line for line in said)
    assert "To: josé@example.org\r\n".encode() in said


async def test_an_address_outside_ascii_is_refused_where_the_server_does_not(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        outcome = await handed(client(port), replace(OUTGOING, recipient="josé@example.org"))
    assert outcome == Rejected("smtputf8_not_supported")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[tuple[int, int]]:
    """Two servers: told to want TLS before a login, the library behind them does not see it on the TLS port."""
    folder = tmp_path_factory.mktemp("mailbox")
    with (
        mailbox(folder, authority, "--auth-required", "--auth-require-tls") as (starttls, _),
        mailbox(folder, authority, "--auth-required") as (_, tls),
    ):
        yield starttls, tls


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_it_logs_in_over_tls(ports: tuple[int, int], authority: trustme.CA, tls: str) -> None:
    port = ports[0] if tls == "starttls" else ports[1]
    smtp = client(port, "pw", tls=tls, ca=pem(authority), username="u@example.org")
    for _ in range(2):
        assert isinstance(await smtp.send(replace(OUTGOING, hipaa=True)), Accepted)
    await smtp.close()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_of_someone_unknown_stops_it(ports: tuple[int, int], tls: str) -> None:
    port = ports[0] if tls == "starttls" else ports[1]
    smtp = client(port, "pw", tls=tls, username="u@example.org")
    assert await handed(smtp) == Misconfigured("certificate_refused")


async def test_a_certificate_of_another_host_stops_it(ports: tuple[int, int], authority: trustme.CA) -> None:
    smtp = client(ports[1], "pw", host="127.0.0.1", tls="tls", ca=pem(authority), username="u@example.org")
    assert await handed(smtp) == Misconfigured("certificate_refused")


async def test_a_wrong_password_is_our_set_up(ports: tuple[int, int], authority: trustme.CA) -> None:
    smtp = client(ports[0], "no", tls="starttls", ca=pem(authority), username="u@example.org")
    assert await handed(smtp) == Misconfigured("login_refused")


async def test_no_login_where_one_is_wanted_is_our_set_up(
    ports: tuple[int, int], authority: trustme.CA
) -> None:
    smtp = client(ports[0], tls="starttls", ca=pem(authority))
    assert await handed(smtp) == Misconfigured("smtp_5.7.0")


async def test_a_login_that_we_do_not_speak_is_our_set_up() -> None:
    async def speaks_others(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.test ESMTP\r\n")
        while line := await reader.readline():
            greets = line.upper().startswith(b"EHLO")
            writer.write(b"250-mx.test\r\n250 AUTH NTLM GSSAPI\r\n" if greets else b"250 ok\r\n")

    async with scripted(speaks_others) as port:
        smtp = client(port, "pw", host="127.0.0.1", username="u@example.org")
        assert await handed(smtp) == Misconfigured("login_not_offered")


async def test_a_login_is_never_sent_in_the_clear(ports: tuple[int, int]) -> None:
    """This server offers AUTH only after TLS, so a set-up without TLS can't log in at all."""
    smtp = client(ports[0], "pw", tls="none", username="u@example.org")
    assert await handed(smtp) == Misconfigured("login_not_offered")


async def test_a_server_without_starttls_gets_no_mail(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        assert await handed(client(port, tls="starttls")) == Misconfigured("starttls_not_offered")
    assert mails(tmp_path) == []


async def test_health_data_never_goes_in_the_clear(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        assert await handed(client(port), replace(OUTGOING, hipaa=True)) == Misconfigured("tls_required")
    assert mails(tmp_path) == []


async def test_without_a_sender_there_is_no_mail() -> None:
    assert await handed(client(1), replace(OUTGOING, sender=Sender())) == Misconfigured("no_sender")


@pytest.mark.parametrize(
    ("stage", "code", "text", "outcome"),
    [
        (Stage.DATA, 550, "5.1.10 null MX", Rejected("smtp_5.1.10", bad_recipient=True)),
        (Stage.RCPT, 552, "5.2.2 over quota", Rejected("smtp_5.2.2")),
        (Stage.DATA, 554, "no thanks", Rejected("smtp_554")),
        (Stage.RCPT, 553, "not local", Rejected("smtp_553", bad_recipient=True)),
        (Stage.DATA, 550, "not wanted", Rejected("smtp_550")),
        (Stage.HELLO, 535, "5.7.8 bad", Misconfigured("smtp_5.7.8")),
        (Stage.RCPT, 421, "4.3.2 closing", TryLater("smtp_4.3.2")),
        (Stage.RCPT, 450, "4.2.1 later", TryLater("smtp_4.2.1", of_message=True)),
        (Stage.RCPT, 550, "5.1.1x unclear", Rejected("smtp_550", bad_recipient=True)),
        (Stage.MAIL, 553, "no such sender", Misconfigured("smtp_553")),
        (Stage.RCPT, 530, "log in first", Misconfigured("smtp_530")),
    ],
)
def test_a_refusal_is_read_by_its_place_its_enhanced_code_and_its_digits(
    stage: Stage, code: int, text: str, outcome: Outcome
) -> None:
    assert classify(stage, code, text) == outcome


async def test_of_the_servers_words_only_a_queue_id_is_kept() -> None:
    said: list[str] = ["250 2.0.0 Ok: queued as 4F2aB9", "250 2.1.5 <ada@example.org> is glad"]

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        in_mail = False
        async for line in reader:
            if in_mail and line != b".\r\n":
                continue
            if line == b".\r\n":
                writer.write(said.pop(0).encode() + b"\r\n")
                in_mail = False
                continue
            in_mail = line == b"DATA\r\n"
            writer.write(b"354 go\r\n" if in_mail else b"250 ok\r\n")

    async with scripted(answers) as port:
        smtp = client(port, host="127.0.0.1")
        assert await smtp.send(OUTGOING) == Accepted("4F2aB9")
        assert await smtp.send(OUTGOING) == Accepted(None)
        await smtp.close()


async def test_who_finds_no_free_connection_is_tried_later_not_doubted() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as port:
        smtp = client(port, host="127.0.0.1")
        outgoing = replace(OUTGOING, seconds=0.2)
        outcomes = await asyncio.gather(*(smtp.send(outgoing) for _ in range(20)))
        await smtp.close()
    assert set(outcomes) <= {TryLater("connection"), TryLater("no_free_connection")}


def test_a_domain_outside_ascii_goes_out_as_servers_know_it() -> None:
    mail = compose(replace(OUTGOING, recipient="ada@bücher.example"), NOW)
    assert (mail.recipient, mail.needs_utf8) == ("ada@xn--bcher-kva.example", False)
    assert b"To: ada@xn--bcher-kva.example" in mail.content


HOSTILE = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('\r\n\x00\u2028\x85.:,;<>@"()\\')
)


@given(subject=HOSTILE, name=HOSTILE, text=HOSTILE, body=HOSTILE)
def test_no_text_becomes_a_header(subject: str, name: str, text: str, body: str) -> None:
    outgoing = replace(
        OUTGOING,
        content=Rendered(body=body, subject=subject, text=text),
        sender=Sender("care@loop.test", name),
    )
    raw = compose(outgoing, NOW).content
    head = raw.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n")]
    expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]
    assert sorted(names) == sorted(expected)
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert raw.isascii()


def test_the_address_to_unsubscribe_at_is_whole_on_one_line() -> None:
    url = "https://comms.example.org/u/" + "Az09-_" * 150
    for recipient in ("ada@example.org", "zoë@example.org"):
        content = replace(OUTGOING.content, unsubscribe_url=url)
        raw = compose(replace(OUTGOING, content=content, recipient=recipient), NOW).content
        assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw
        assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
        assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"List-Unsubscribe" not in compose(OUTGOING, NOW).content


def lines(text: str) -> list[str]:
    """As mail knows them, whatever ended each; the last one is ended for the writer."""
    return re.split("\r\n|\r|\n", re.sub(r"(\r\n|\r|\n)\Z", "", text))


async def test_an_address_that_is_none_is_no_reason_for_doubt() -> None:
    outgoing = replace(OUTGOING, sender=Sender("cäre", "Loop"))
    assert await handed(client(1), outgoing) == Rejected("not_composable")


@given(text=HOSTILE, body=HOSTILE)
@example(text="\n\n", body="a\r\n\n")
def test_what_was_written_is_what_arrives(text: str, body: str) -> None:
    raw = compose(replace(OUTGOING, content=Rendered(body=body, subject="s", text=text)), NOW).content
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    parts = [mail.get_body([kind]) for kind in ("plain", "html")]
    for part, written in zip(parts, (text, body), strict=True):
        assert part is not None
        assert lines(part.get_content()) == lines(written)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": ""},
        {"host": "mail example"},
        {"host": "mail\r\nexample"},
        {"host": "h", "port": 0},
        {"host": "h", "port": 65_536},
        {"host": "h", "port": "25"},
        {"host": "h", "tls": "maybe"},
        {"host": "h", "username": ""},
        {"host": "h", "ca": "not a certificate"},
        {"host": "h", "hots": "typo"},
    ],
    ids=str,
)
def test_settings_that_can_not_be_are_refused_when_they_are_stored(settings: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        catalogue.check("smtp", settings, set())
    assert refusal.value.code == "invalid_settings"


def test_a_private_authority_is_taken(authority: trustme.CA) -> None:
    catalogue.check("smtp", {"host": "mail.internal", "ca": pem(authority)}, {"password"})
