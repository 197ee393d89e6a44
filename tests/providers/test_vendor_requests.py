"""What each vendor is sent, held against the document that it publishes of its API, where there is one."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.content import Rendered
from comms.domain.errors import Refused
from comms.providers import catalogue, mailgun, postmark, sendgrid, telnyx, twilio
from comms.providers.base import Lost, Misconfigured, Outcome, Rejected, Sender, TryLater
from comms.providers.http import Answer, Request
from comms.providers.mail import Envelope, envelope
from tests.providers.contract import ADDRESS, KEY, MAIL, TEXT, Case, account, outcome_of
from tests.providers.published import complaints, typed
from tests.providers.signing import BY_KIND
from tests.providers.vendor_cases import (
    CASES,
    MAILGUN,
    POSTMARK,
    RESEND,
    SECRET,
    SENDGRID,
    SID,
    TELNYX,
    TWILIO,
    VONAGE,
)
from tests.providers.vendor_server import Asked, Said, vendor

pytestmark = pytest.mark.anyio

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MAILS = [case for case in CASES if case.outgoing is MAIL]
TEXTS = [case for case in CASES if case.outgoing is TEXT]
TWILIO_PATH = "/2010-04-01/Accounts/{AccountSid}/Messages.json"


async def asked(case: Case, **changes: Any) -> Asked:
    _, server = await outcome_of(case, case.taken, **changes)
    [request] = server.asked
    return request


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{SECRET}".encode()).decode()


async def test_sendgrid_is_sent_what_its_document_asks_for() -> None:
    request = await asked(SENDGRID)
    assert (request.line, request.headers["content-type"]) == ("POST /v3/mail/send HTTP/1.1", JSON)
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.json["from"] == {"email": "care@loop.test", "name": "Loop"}
    assert request.json["content"] == [
        {"type": "text/plain", "value": "Hi Ada"},
        {"type": "text/html", "value": "<p>Hi <b>Ada</b></p>"},
    ]
    assert request.json["personalizations"] == [
        {"to": [{"email": ADDRESS}], "custom_args": {"comms_key": KEY}}
    ]
    assert complaints("sendgrid/tsg_mail_v3.json", "/v3/mail/send", JSON, request.json) == []


async def test_resend_is_sent_what_its_document_asks_for() -> None:
    request = await asked(RESEND)
    assert (request.line, request.headers["content-type"]) == ("POST /emails HTTP/1.1", JSON)
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["user-agent"]  # without one it answers 403
    assert (request.json["from"], request.json["to"]) == ("Loop <care@loop.test>", [ADDRESS])
    assert complaints("resend/resend.yaml", "/emails", JSON, request.json) == []


async def test_twilio_is_sent_what_its_document_asks_for() -> None:
    request = await asked(TWILIO)
    assert request.line == f"POST /2010-04-01/Accounts/{SID}/Messages.json HTTP/1.1"
    assert request.headers["content-type"] == FORM
    assert request.headers["authorization"] == basic(SID)
    assert request.form == {
        "To": "+15555550123",
        "From": "+15555550100",
        "Body": "Hi Ada: 9:30",
        "ValidityPeriod": "14400",
    }
    name = "twilio/twilio_api_v2010.json"
    assert complaints(name, TWILIO_PATH, FORM, typed(name, TWILIO_PATH, request.form)) == []


async def test_telnyx_is_sent_what_its_document_asks_for() -> None:
    request = await asked(TELNYX)
    assert (request.line, request.headers["content-type"]) == ("POST /v2/messages HTTP/1.1", JSON)
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert (request.json["to"], request.json["tags"]) == ("+15555550123", [KEY])
    # The shared document is older than tags, which today's has.
    said = complaints("telnyx/telnyx.com.json", "/messages", JSON, request.json)
    assert said == ["tags is unknown"]


async def test_vonage_is_sent_what_its_document_asks_for() -> None:
    request = await asked(VONAGE)
    assert (request.line, request.headers["content-type"]) == ("POST /sms/json HTTP/1.1", FORM)
    assert (request.form["to"], request.form["from"]) == ("15555550123", "Loop")
    assert (request.form["type"], request.form["ttl"]) == ("text", "14400000")
    assert (request.form["client-ref"], len(KEY)) == (KEY, 38)  # of 40 that its document allows
    assert (
        complaints("vonage/sms.yml", "/{format}", FORM, typed("vonage/sms.yml", "/{format}", request.form))
        == []
    )


async def test_postmark_is_sent_what_its_pages_ask_for() -> None:
    request = await asked(POSTMARK)
    assert (request.line, request.headers["content-type"]) == ("POST /email HTTP/1.1", JSON)
    assert request.headers["x-postmark-server-token"] == SECRET
    assert request.json == {
        "From": "Loop <care@loop.test>",
        "To": ADDRESS,
        "ReplyTo": "help@loop.test",
        "Subject": "Your visit",
        "HtmlBody": "<p>Hi <b>Ada</b></p>",
        "TextBody": "Hi Ada",
        "MessageStream": "outbound",
        "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
        "Metadata": {"comms_key": KEY},
    }


async def test_mailgun_is_sent_what_its_pages_ask_for() -> None:
    request = await asked(MAILGUN)
    assert (request.line, request.headers["content-type"]) == (
        "POST /v3/mg.loop.test/messages HTTP/1.1",
        FORM,
    )
    assert request.headers["authorization"] == basic("api")
    assert request.form == {
        "from": "Loop <care@loop.test>",
        "to": ADDRESS,
        "subject": "Your visit",
        "html": "<p>Hi <b>Ada</b></p>",
        "text": "Hi Ada",
        "h:Reply-To": "help@loop.test",
        "h:Message-Id": f"<{KEY}@mg.loop.test>",
        "h:Auto-Submitted": "auto-generated",
        "v:comms_key": KEY,
    }


@pytest.mark.parametrize(
    ("case", "lifetime", "field", "value"),
    [
        (TWILIO, 0.2, "ValidityPeriod", "1"),
        (TWILIO, 90_000, "ValidityPeriod", "36000"),
        (VONAGE, 3, "ttl", "20000"),
        (VONAGE, 9e6, "ttl", "604800000"),
    ],
)
async def test_what_is_worth_nothing_later_is_dropped_there(
    case: Case, lifetime: float, field: str, value: str
) -> None:
    assert (await asked(case, lifetime=lifetime)).form[field] == value


async def test_vonage_is_told_where_a_text_needs_sixteen_bits() -> None:
    assert (await asked(VONAGE, content=Rendered(None, "Grüße €"))).form["type"] == "text"
    assert (await asked(VONAGE, content=Rendered(None, "Привет 🙂"))).form["type"] == "unicode"


@pytest.mark.parametrize(
    ("case", "content"),
    [
        (POSTMARK, Rendered("S", "é" * (5 * 1024 * 512 + 1))),
        (POSTMARK, Rendered("S", "short", "x" * (5 * 1024 * 1024 + 1))),
        (SENDGRID, Rendered("S", "x" * (30 * 1024 * 1024))),
        (RESEND, Rendered("S", "x" * (40 * 1024 * 1024))),
        (MAILGUN, Rendered("S", "x" * 25_000_001)),
        (TWILIO, Rendered(None, "x" * 1601)),
        (TELNYX, Rendered(None, "x" * (153 * 10 + 1))),
        (VONAGE, Rendered(None, "x" * 3201)),
    ],
    ids=lambda value: value.kind if isinstance(value, Case) else "",
)
async def test_what_is_too_large_is_refused_before_the_call(case: Case, content: Rendered) -> None:
    outcome, server = await outcome_of(case, case.taken, content=content)
    assert (outcome, server.connections) == (Rejected("too_large"), 0)


@pytest.mark.parametrize("case", MAILS, ids=lambda case: case.kind)
async def test_a_mail_without_a_text_part_or_a_name_has_none(case: Case) -> None:
    request = await asked(case, content=Rendered("S", "<p>Hi</p>"), sender=Sender("care@loop.test"))
    body = request.body.decode()
    assert "null" not in body
    assert "None" not in body
    assert "text/plain" not in body


@pytest.mark.parametrize("case", MAILS, ids=lambda case: case.kind)
async def test_nothing_gets_into_a_header(case: Case) -> None:
    hostile = Sender("care@loop.test", 'Loop\r\nBcc: all@loop.test, "x" <y@z.test>')
    request = await asked(case, sender=hostile, content=Rendered("Hi\r\nBcc: all@loop.test", "<p>Hi</p>"))
    sent = str(request.json if request.headers["content-type"] == JSON else request.form)
    assert "\\r" not in sent
    assert "\\n" not in sent
    if case is not SENDGRID:  # which takes the name apart from the address
        assert sent.count("<care@loop.test>") == 1
        assert '\\"x\\"' in sent.replace("\\\\", "\\")


@pytest.mark.parametrize("case", MAILS, ids=lambda case: case.kind)
async def test_a_domain_goes_out_in_ascii_and_a_local_part_that_cannot_is_refused(case: Case) -> None:
    request = await asked(case, recipient="ada@bücher.example")
    assert "xn--bcher-kva.example" in request.body.decode()
    outcome, server = await outcome_of(case, case.taken, recipient="josé@example.org")
    assert (outcome, server.connections) == (Rejected("smtputf8_not_supported"), 0)


@pytest.mark.parametrize("case", MAILS, ids=lambda case: case.kind)
async def test_a_mail_needs_a_sender(case: Case) -> None:
    assert (await outcome_of(case, case.taken, sender=Sender()))[0] == Misconfigured("no_sender")
    assert catalogue.KINDS[case.kind].needs_sender


@given(st.text(max_size=50), st.text(max_size=50), st.sampled_from(["ada@example.org", "\r\n", "@", "a@b@c"]))
def test_an_envelope_is_made_or_refused_whatever_is_in_it(name: str, subject: str, recipient: str) -> None:
    outgoing = replace(
        MAIL, recipient=recipient, sender=Sender("care@loop.test", name), content=Rendered(subject, "")
    )
    made = envelope(outgoing)
    assert isinstance(made, Envelope | Rejected)
    if isinstance(made, Envelope):
        assert not {"\r", "\n"} & set(str(made.sender) + made.recipient + made.subject)


@pytest.mark.parametrize(
    ("case", "other", "field"),
    [
        (TWILIO, {"from": None, "messaging_service_sid": "MG" + "a" * 32}, "MessagingServiceSid"),
        (TELNYX, {"from": None, "messaging_profile_id": "abc85f64-5717-4562-b3fc-2c9600000000"}, "messaging_profile_id"),
    ],
)  # fmt: skip
async def test_a_pool_of_senders_does_instead_of_one(case: Case, other: dict[str, Any], field: str) -> None:
    async with vendor(case.taken) as server, account(case, server.url, settings=other) as provider:
        await provider.send(case.outgoing)
    body = server.asked[0].body.decode()
    assert field in body
    assert "from" not in body.lower()
    with pytest.raises(Refused, match="must be set"):
        catalogue.check(case.kind, {**case.settings, "from": None}, set())


@pytest.mark.parametrize(
    ("kind", "settings", "secrets", "complaint"),
    [
        (
            "twilio",
            {"account_sid": "nope", "from": "+15555550100"},
            set(),
            "account_sid does not have the form",
        ),
        ("twilio", {"from": "+15555550100"}, set(), "account_sid is missing"),
        ("twilio", {"account_sid": SID, "from_": "+15555550100"}, set(), "did you mean from"),
        ("twilio", {"account_sid": SID, "from": "a; drop"}, set(), "from does not have the form"),
        ("mailgun", {"domain": "a/../b"}, set(), "domain does not have the form"),
        ("mailgun", {}, set(), "domain is missing"),
        ("vonage", {}, set(), "from is missing"),
        ("postmark", {}, {"api_key"}, "did you mean server_token"),
        ("resend", {"region": "eu"}, set(), "did you mean base_url"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    kind: str, settings: dict[str, Any], secrets: set[str], complaint: str
) -> None:
    with pytest.raises(Refused, match=complaint):
        catalogue.check(kind, settings, secrets)


@pytest.mark.parametrize(
    ("case", "answer", "outcome"),
    [
        (POSTMARK, Said(401, {"ErrorCode": 10, "Message": "No token"}), Misconfigured("postmark_10")),
        (POSTMARK, Said(422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'x'."}), Rejected("postmark_300", bad_recipient=True)),
        (POSTMARK, Said(422, {"ErrorCode": 300, "Message": "Error parsing 'To': Illegal email address"}), Rejected("postmark_300", bad_recipient=True)),
        (POSTMARK, Said(422, {"ErrorCode": 300, "Message": "Invalid 'From' address"}), Rejected("postmark_http_422")),
        (POSTMARK, Said(503, raw=b"maintenance"), TryLater("postmark_100")),
        (POSTMARK, Said(500, {"ErrorCode": 500, "Message": "?"}), Lost("postmark_http_500")),
        (POSTMARK, Said(413, raw=b""), Rejected("too_large")),
        (SENDGRID, Said(429, {}, {"X-RateLimit-Reset": "1893499230"}), TryLater("sendgrid_http_429", 30.0)),
        (SENDGRID, Said(400, {"errors": [{"field": "from.email", "message": "?"}]}), Misconfigured("sendgrid_from")),
        (SENDGRID, Said(451, {"errors": []}), Misconfigured("sendgrid_http_451")),
        (RESEND, Said(409, {"name": "concurrent_idempotent_requests"}), TryLater("resend_concurrent_idempotent_requests")),
        (RESEND, Said(409, {"name": "invalid_idempotent_request"}), Lost("resend_invalid_idempotent_request")),
        (RESEND, Said(403, {"name": "validation_error"}), Misconfigured("resend_http_403")),
        (RESEND, Said(429, {"name": "daily_quota_exceeded"}), Misconfigured("resend_daily_quota_exceeded")),
        (MAILGUN, Said(400, {"message": "from parameter is not a valid address"}), Misconfigured("mailgun_from")),
        (MAILGUN, Said(402, {"message": "pay"}), Misconfigured("mailgun_http_402")),
        (MAILGUN, Said(404, {"message": "Domain not found: x"}), Misconfigured("mailgun_http_404")),
        (TWILIO, Said(400, {"code": 21606, "status": 400}), Misconfigured("twilio_21606")),
        (TWILIO, Said(400, {"code": 21614, "status": 400}), Rejected("twilio_21614", bad_recipient=True)),
        (TWILIO, Said(400, {"code": 99999, "status": 400}), Rejected("twilio_http_400")),
        (TWILIO, Said(429, {"code": 21611, "status": 429}), TryLater("twilio_21611")),
        (TWILIO, Said(503, {"code": 20503, "status": 503}), Lost("twilio_http_503")),
        (TELNYX, Said(422, {"errors": [{"code": "40305"}]}), Misconfigured("telnyx_40305")),
        (TELNYX, Said(500, {"errors": [{"code": "10007"}]}), Lost("telnyx_http_500")),
        (VONAGE, Said(200, {"messages": [{"status": "0", "message-id": "a"}, {"status": "1"}]}), Lost("vonage_partly_taken")),
        (VONAGE, Said(200, {"messages": [{"status": "77"}]}), Rejected("vonage_status_unknown")),
        (VONAGE, Said(200, {"messages": [{"status": "15"}]}), Misconfigured("vonage_15")),
        (VONAGE, Said(200, {"messages": [{"status": "5"}]}), TryLater("vonage_5")),
    ],
)  # fmt: skip
async def test_each_odd_answer_has_its_meaning(case: Case, answer: Said, outcome: Outcome) -> None:
    assert (await outcome_of(case, answer))[0] == outcome


def test_no_code_means_two_things() -> None:
    for meanings in (postmark._MEANINGS, twilio._MEANINGS, telnyx._MEANINGS):
        codes = [*meanings.bad_recipient, *meanings.refused, *meanings.later, *meanings.setup, *meanings.lost]
        assert len(codes) == len(set(codes))


def test_neither_a_request_nor_an_answer_shows_what_is_in_it() -> None:
    made = Request("https://example.org/ada", b"Ada", {"Authorization": SECRET})
    assert repr(made) == "Request()"
    assert repr(Answer(400, {"X": SECRET}, {"message": "Ada"})) == "Answer(status=400)"


async def test_health_data_is_not_followed() -> None:
    """Whatever the account says of opens and clicks. Resend has no such switch for one mail."""
    looked_after = replace(MAIL, hipaa=True)
    secrets = dict.fromkeys(("server_token", "api_key"), SECRET)
    made = postmark.compose(postmark.PostmarkSettings(), secrets, looked_after)
    assert isinstance(made, Request)
    assert b'"TrackOpens":false,"TrackLinks":"None"' in made.body
    made = sendgrid.compose(sendgrid.SendgridSettings(), secrets, looked_after)
    assert isinstance(made, Request)
    tracking = msgspec.json.decode(made.body)
    assert tracking["tracking_settings"] == {
        "click_tracking": {"enable": False},
        "open_tracking": {"enable": False},
    }
    assert complaints("sendgrid/tsg_mail_v3.json", "/v3/mail/send", JSON, tracking) == []
    made = mailgun.compose(mailgun.MailgunSettings(domain="mg.loop.test"), secrets, looked_after)
    assert isinstance(made, Request)
    assert b"o%3Atracking=no" in made.body


async def test_who_may_report_is_told_where() -> None:
    """Where there is nothing to check a report by, none is asked for; Twilio signs with what we have."""
    url = "https://comms.example/v1/webhooks/v"
    assert (await asked(TWILIO, events_url=url)).form["StatusCallback"] == f"{url}?key={KEY}"
    assert "webhook_url" not in (await asked(TELNYX, events_url=url)).json
    assert "callback" not in (await asked(VONAGE, events_url=url)).form
    telnyx_asked, vonage_asked = [
        await asked(replace(case, secrets={**case.secrets, **BY_KIND[case.kind].secrets}), events_url=url)
        for case in (TELNYX, VONAGE)
    ]
    assert telnyx_asked.json["webhook_url"] == vonage_asked.form["callback"] == url
    name, path = "vonage/sms.yml", "/{format}"
    assert complaints(name, path, FORM, typed(name, path, vonage_asked.form)) == []


@pytest.mark.parametrize("case", MAILS, ids=lambda case: case.kind)
async def test_every_vendor_is_told_where_one_click_unsubscribes(case: Case) -> None:
    url = "https://comms.example.org/u/" + "Az09-_" * 60
    kept = await asked(case)
    assert "List-Unsubscribe" not in str(kept.body)
    request = await asked(case, content=replace(MAIL.content, unsubscribe_url=url))
    said: dict[str, Any]
    members: dict[str, Any] = {} if case is MAILGUN else request.json
    if case is MAILGUN:
        said = {name.removeprefix("h:"): value for name, value in request.form.items()}
    elif case is POSTMARK:
        said = {each["Name"]: each["Value"] for each in members["Headers"]}
    elif case.kind == "ses":
        headers = members["Content"]["Simple"]["Headers"]
        said = {each["Name"]: each["Value"] for each in headers}
    else:
        said = members["headers"]
    assert said["List-Unsubscribe"] == f"<{url}>"
    assert said["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
