"""What every adapter that speaks HTTP has to do, whoever the vendor is."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from comms.domain.errors import Refused
from comms.providers import catalogue
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.providers.http import LARGEST_ANSWER, Answer, Http, Request
from tests.providers.contract import ADDRESS, KEY, NUMBER, Case, account, outcome_of, tools
from tests.providers.vendor_cases import CASES, SECRET
from tests.providers.vendor_server import Misdeed, Said, vendor

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)]


async def test_what_is_taken_is_accepted_with_the_vendors_id(case: Case) -> None:
    outcome, server = await outcome_of(case, case.taken)
    assert outcome == Accepted(case.reference)
    assert len(server.asked) == 1


async def test_a_recipient_who_does_not_exist_is_refused_for_good(case: Case) -> None:
    outcome, _ = await outcome_of(case, case.bad_recipient)
    assert isinstance(outcome, Rejected)
    assert outcome.bad_recipient is case.names_bad_recipients


async def test_what_is_refused_for_another_reason_leaves_the_recipient_good(case: Case) -> None:
    outcome, _ = await outcome_of(case, case.refused)
    assert isinstance(outcome, Rejected)
    assert not outcome.bad_recipient


async def test_a_busy_vendor_is_tried_again_when_it_says(case: Case) -> None:
    outcome, server = await outcome_of(case, case.busy)
    assert isinstance(outcome, TryLater)
    assert outcome.after == 7
    assert len(server.asked) == 1


async def test_a_date_to_come_back_is_measured_by_the_vendors_clock(case: Case) -> None:
    dated = {"Retry-After": "Tue, 01 Jan 2030 12:01:30 GMT"}
    outcome, _ = await outcome_of(case, replace(case.busy, headers=dated))
    assert isinstance(outcome, TryLater)
    assert outcome.after == 90


@pytest.mark.parametrize("nonsense", ["soon", "-3", "1e9", "٣", "9" * 40, ""])
async def test_a_retry_after_that_says_nothing_is_passed_over(case: Case, nonsense: str) -> None:
    outcome, _ = await outcome_of(case, replace(case.busy, headers={"Retry-After": nonsense}))
    assert isinstance(outcome, TryLater)
    assert outcome.after is None


async def test_a_set_up_that_is_refused_is_ours_to_mend(case: Case) -> None:
    assert isinstance((await outcome_of(case, case.misconfigured))[0], Misconfigured)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405])
async def test_a_wrong_key_or_address_is_our_set_up_whoever_says_so(case: Case, status: int) -> None:
    answer = Said(status, raw=b"<html>", headers={"Location": "http://127.0.0.1:1/"})
    outcome, server = await outcome_of(case, answer)
    if status in case.gone:
        assert outcome == Rejected(f"{case.kind}_{status}", bad_recipient=True)
    else:
        assert isinstance(outcome, Misconfigured)
    assert len(server.asked) == 1  # a redirect is not followed: the key would go along


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_an_error_of_the_vendor_is_a_doubt(case: Case, status: int) -> None:
    outcome, _ = await outcome_of(case, Said(status, raw=b"<html>Bad gateway</html>"))
    assert isinstance(outcome, Lost)


async def test_a_stranger_who_says_yes_is_not_believed(case: Case) -> None:
    outcome, _ = await outcome_of(case, Said(200, raw=b"<html>Please log in to the hotel's network</html>"))
    assert isinstance(outcome, Lost)


async def test_a_stranger_who_says_no_is_asked_again(case: Case) -> None:
    outcome, _ = await outcome_of(case, Said(400, raw=b"<html>Bad request</html>"))
    assert isinstance(outcome, TryLater)


async def test_a_vendor_that_is_not_there_is_tried_later(case: Case) -> None:
    async with account(case, "http://127.0.0.1:1") as provider:
        assert await provider.send(case.outgoing) == TryLater("connection")


async def test_a_name_that_nobody_has_is_tried_later(case: Case) -> None:
    async with account(case, "http://nobody.invalid") as provider:
        assert await provider.send(case.outgoing) == TryLater("connection")


@pytest.mark.parametrize(
    "misdeed",
    [
        Misdeed.HANGS_UP_AT_ONCE,
        Misdeed.HANGS_UP_AFTER,
        Misdeed.TALKS_NONSENSE,
        Misdeed.HANGS_UP_IN_THE_ANSWER,
    ],
)
async def test_a_connection_that_breaks_once_there_was_one_is_a_doubt(case: Case, misdeed: Misdeed) -> None:
    outcome, server = await outcome_of(case, misdeed)
    assert isinstance(outcome, Lost)
    assert server.connections == 1  # and nothing is sent a second time


async def test_a_vendor_that_never_answers_is_a_doubt_in_time(case: Case) -> None:
    outcome, _ = await outcome_of(case, Misdeed.NEVER_ANSWERS, seconds=0.3)
    assert outcome == Lost("no_answer")


async def test_a_huge_answer_is_not_read_to_its_end(case: Case) -> None:
    huge = Said(200, raw=b'{"id": "' + b"x" * 50 * LARGEST_ANSWER + b'"}')
    outcome, _ = await outcome_of(case, huge)
    assert isinstance(outcome, Lost)


@pytest.mark.parametrize(
    "raw", [b"[" * 60_000, b"null", b"[1]", b"\xff", b'{"id": "\xe9"}', b'"text"', b"{}", b'{"id": 7}']
)
async def test_an_answer_of_another_shape_is_no_acceptance(case: Case, raw: bytes) -> None:
    assert isinstance((await outcome_of(case, Said(200, raw=raw)))[0], Lost)
    shaped = {"errors": 7, "messages": 7, "data": [7], "code": [], "name": {}, "ErrorCode": {}, "message": []}
    for status in (200, 400, 422, 500):
        outcome, _ = await outcome_of(case, Said(status, shaped))
        assert not isinstance(outcome, Accepted)


async def test_every_attempt_carries_the_same_request(case: Case) -> None:
    """A key that changes is none, and vendors with one compare the bodies."""
    script = (Said(500), case.taken)
    async with vendor(*script, aside=case.aside) as server, account(case, server.url) as provider:
        for attempt in (1, 2):
            await provider.send(replace(case.outgoing, attempt=attempt))
    if case.signs_each_call:
        for asked in server.asked:
            assert asked.headers.pop("authorization")
            assert asked.headers.pop("x-amz-date")
    first, second = server.asked
    if case.kind == "webpush":  # encrypted anew each time; what is inside, its own tests open
        first.body = second.body = b""
    assert first == second
    assert (KEY in str(first.headers) + first.body.decode()) is case.carries_key
    assert ("idempotency-key" in first.headers) is case.idempotent


async def test_connections_are_kept(case: Case) -> None:
    async with vendor(case.taken, aside=case.aside) as server, account(case, server.url) as provider:
        for _ in range(3):
            await provider.send(case.outgoing)
        assert (server.connections, len(server.asked)) == (1, 3)


async def test_cookies_of_one_account_do_not_reach_another(case: Case) -> None:
    taken = replace(case.taken, headers={**case.taken.headers, "Set-Cookie": "account=1"})
    async with vendor(taken, aside=case.aside) as server, account(case, server.url) as provider:
        for _ in range(2):
            await provider.send(case.outgoing)
    assert not any("cookie" in asked.headers for asked in server.asked)


async def test_a_call_that_is_cut_off_is_cut_off(case: Case) -> None:
    never = vendor(Misdeed.NEVER_ANSWERS, aside=case.aside)
    async with never as server, account(case, server.url) as provider:
        task = asyncio.create_task(provider.send(case.outgoing))
        await server.was_asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_phi_does_not_go_over_a_line_that_anybody_can_read(case: Case) -> None:
    outcome, server = await outcome_of(case, case.taken, hipaa=True)
    assert outcome == Misconfigured("tls_required")
    assert server.connections == 0
    kind = catalogue.KINDS[case.kind]
    assert not kind.may_carry_phi({**case.settings, "base_url": "http://localhost"})
    assert kind.may_carry_phi(dict(case.settings))


@pytest.mark.parametrize("value", ["", "two\nlines", "ключ"])
async def test_a_secret_that_is_none_is_our_set_up(case: Case, value: str) -> None:
    for name in case.secrets:
        async with vendor(case.taken) as server, account(case, server.url, secrets={name: value}) as provider:
            outcome = await provider.send(case.outgoing)
        assert outcome == Misconfigured(f"{name}_malformed" if value else f"{name}_missing")
        assert server.connections == 0


async def test_an_account_says_which_secret_it_lacks(case: Case) -> None:
    lacks = catalogue.KINDS[case.kind].lacks
    assert lacks(case.settings, case.secrets) is None
    may_do_without = case.kind == "expo"  # its access token is asked for only where the project says so
    for name in case.secrets:
        assert lacks(case.settings, set(case.secrets) - {name}) == (None if may_do_without else name)


async def test_nothing_secret_or_personal_is_logged_shown_or_a_reason(
    case: Case, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    private = [SECRET, ADDRESS, NUMBER, NUMBER[1:], "Ada", *case.private]
    prose = Said(400, dict.fromkeys(("message", "name", "code", "Message"), f"{SECRET} {ADDRESS}"))
    shown: list[object] = []
    with capture_logs() as lines:
        scripts: list[list[Said | Misdeed]] = [[case.bad_recipient], [case.refused], [prose], [case.taken]]
        scripts += [[misdeed] for misdeed in Misdeed if misdeed is not Misdeed.NEVER_ANSWERS]
        shown += [(await outcome_of(case, *script))[0] for script in scripts]
        async with account(case, "http://127.0.0.1:1") as provider:
            shown += [await provider.send(case.outgoing), provider]
    said = " ".join([caplog.text, *capsys.readouterr(), repr(lines), repr(shown)])
    assert [word for word in private if word in said] == []


async def test_a_reason_is_a_code(case: Case) -> None:
    answers = [
        case.bad_recipient,
        case.refused,
        case.busy,
        case.misconfigured,
        Said(500),
        Said(418, {"a": 1}),
    ]
    for answer in answers:
        outcome: Outcome = (await outcome_of(case, answer))[0]
        assert not isinstance(outcome, Accepted)
        assert outcome.reason.replace("_", "").isalnum()


@pytest.mark.parametrize(
    "base_url",
    ["", "example.org", "ftp://example.org", "https://u:p@example.org", "https://example.org/v1", "https://a b",
     "https://example.org?x", "https://example.org\n", "https://[::1", "https://é.example", "//example.org"],
)  # fmt: skip
async def test_a_base_url_is_scheme_and_host(case: Case, base_url: str) -> None:
    with pytest.raises(Refused, match="base_url"):
        catalogue.check(case.kind, {**case.settings, "base_url": base_url}, set())
    catalogue.check(
        case.kind, {**case.settings, "base_url": "https://proxy.example:8443/"}, set(case.secrets)
    )


async def test_the_vendors_own_address_is_encrypted(case: Case) -> None:
    """Built without `base_url`; its call is looked at, not made."""
    made: list[str] = []

    class Watched(Http):
        async def post(self, request: Request, seconds: float) -> Answer | TryLater:
            made.append(request.url)
            if aside := case.aside.get(urlsplit(request.url).path):
                return Answer(aside.status, members=aside.members)  # type: ignore[arg-type]
            assert case.outgoing.seconds - 1 < seconds <= case.outgoing.seconds
            return TryLater("watched")

    provider = catalogue.build(case.kind, dict(case.settings), dict(case.secrets), tools(Watched()))
    assert await provider.send(replace(case.outgoing, hipaa=True)) == TryLater("watched")
    assert [url for url in made if not url.startswith("https://")] == []
    assert case.idempotent is catalogue.KINDS[case.kind].idempotent
