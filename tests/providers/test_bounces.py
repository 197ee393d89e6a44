"""Reports that come back by mail: read where they show the password, and only what our key is in."""

from __future__ import annotations

import base64
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.providers.bounces import parse_events
from comms.providers.events import Event, Forged, Incoming, Unreadable
from tests.providers.contract import KEY

NOW = datetime(2026, 11, 26, tzinfo=UTC)
HEAD = """From: MAILER-DAEMON@relay.test
To: bounces@loop.test
Date: Wed, 25 Nov 2026 02:37:34 +0000 (UTC)
Message-ID: <1@relay.test>
Content-Type: multipart/report; report-type={kind};
\tboundary="b/1"

This is a MIME-encapsulated message.

--b/1
Content-Type: text/plain

Ada's mailbox, said somebody.

--b/1
"""
DELIVERY = (
    HEAD.format(kind="delivery-status")
    + """Content-Type: message/delivery-status

Reporting-MTA: dns; relay.test
{envelope}Arrival-Date: Wed, 25 Nov 2026 02:37:34 +0000 (UTC)

Final-Recipient: rfc822; ada@example.org
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 Ada is not here

--b/1
"""
)
BACK = f"""Content-Type: text/rfc822-headers

From: Loop <care@loop.test>
Message-ID: <{KEY}@loop.test>

--b/1--
"""
COMPLAINT = (
    HEAD.format(kind="feedback-report")
    + """Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Provider/1.0
Version: 1

--b/1
"""
    + BACK.replace("text/rfc822-headers", "message/rfc822")
)


def read(mail: str | bytes, password: str = "pw", secrets: dict[str, str] | None = None) -> list[Event]:
    login = base64.b64encode(f"comms:{password}".encode()).decode()
    body = mail if isinstance(mail, bytes) else mail.replace("\n", "\r\n").encode()
    incoming = Incoming("", {"Authorization": f"Basic {login}"}, body, NOW)
    return parse_events(None, {"webhook_secret": "pw"} if secrets is None else secrets, incoming)


def report(action: str = "failed", status: str = "5.1.1", *, envelope: bool = True) -> str:
    line = f"Original-Envelope-Id: {KEY}\n" if envelope else ""
    return DELIVERY.format(action=action, status=status, envelope=line) + BACK


@pytest.mark.parametrize(
    ("action", "status", "event", "for_good"),
    [
        ("failed", "5.1.1", "bounced", True),
        ("Failed", "5.1.10 (null MX)", "bounced", True),
        ("failed", "5.2.2", "bounced", False),  # full
        ("failed", "4.2.2", "bounced", False),  # as Postfix says once its patience has ended
        ("failed", "5.7.1", "bounced", False),  # a filter
        ("delayed", "4.4.1", "deferred", False),
        ("delivered", "2.0.0", "delivered", False),
        ("relayed", "2.0.0", "accepted", False),
    ],
)
@pytest.mark.parametrize("envelope", [True, False], ids=["by the envelope's id", "by the Message-ID"])
def test_a_report_says_what_became_of_the_mail(
    action: str,
    status: str,
    event: Any,
    for_good: bool,  # noqa: FBT001 - a table's columns
    envelope: bool,  # noqa: FBT001 - a table's columns
) -> None:
    [found] = read(report(action, status, envelope=envelope))
    digits = status.split(maxsplit=1)[0]
    reason = None if digits.startswith("2") else f"smtp_{digits}"
    sent = datetime(2026, 11, 25, 2, 37, 34, tzinfo=UTC)
    assert found == Event(found.id, event, sent, KEY, for_good=for_good, reason=reason)
    assert "ada" not in repr(found)
    assert read(report(action, status, envelope=envelope)) == [found]


def test_a_complaint_is_one_and_other_feedback_is_not() -> None:
    [found] = read(COMPLAINT.format(kind="abuse"))
    assert (found.event, found.key) == ("complained", KEY)
    assert read(COMPLAINT.format(kind="not-spam")) == []


def test_line_ends_are_as_they_come() -> None:
    assert read(report().encode()) == read(report())


@pytest.mark.parametrize(
    ("password", "held"), [("wrong", {"webhook_secret": "pw"}), ("pw", {}), ("", {"webhook_secret": ""})]
)
def test_without_the_password_nothing_is_read(password: str, held: dict[str, str]) -> None:
    with pytest.raises(Forged):
        read(report(), password, held)


@pytest.mark.parametrize(
    "mail",
    [
        "Subject: I am on holiday\n\nBack on Monday.\n",
        report().replace(KEY, "0"),
        report().replace("multipart/report", "multipart/mixed"),
        report().replace("Action: failed", "Action: pondered"),
        "",
        "--b/1",
    ],
)
def test_what_says_nothing_of_a_mail_of_ours_is_passed_over(mail: str) -> None:
    assert read(mail) == []


@given(st.binary(max_size=200), st.integers(0, len(report())))
@settings(max_examples=60, deadline=None)
def test_whatever_a_stranger_mails_is_read_or_is_unreadable(noise: bytes, at: int) -> None:
    whole = report().encode()
    with contextlib.suppress(Unreadable):
        read(whole[:at] + noise + whole[at:])


def test_a_mail_that_is_made_to_take_long_does_not() -> None:
    nested = b"".join(
        b'Content-Type: multipart/report; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(20_000)
    )
    began = time.thread_time()
    for hostile in (nested, report().encode() + b"\n--b/1\n" * 100_000, b"Subject: x\n y" * 80_000):
        read(hostile[: 1024 * 1024])
    assert time.thread_time() - began < 1
