"""Amazon's two: what they are sent, held against the model that Amazon publishes of its API, and who signs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator

from comms.domain.content import Rendered
from comms.domain.errors import Refused
from comms.providers import catalogue, ses, sns
from comms.providers.aws import Credentials
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Rejected, Sender, TryLater
from comms.providers.mail import HEADERS
from tests.providers import vendor_cases as said
from tests.providers.contract import ADDRESS, KEY, Case, account, outcome_of
from tests.providers.vendor_cases import LATER, SECRET, SES, SNS
from tests.providers.vendor_server import Asked, Misdeed, Said, VendorServer, vendor

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One without a role, whatever this one has."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
                 "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONFIG_FILE",
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SHARED_CREDENTIALS_FILE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


async def asked(case: Case, **changes: Any) -> Asked:
    _, server = await outcome_of(case, case.taken, **changes)
    [request] = server.asked
    return request


def complaints(service: str, operation: str, members: dict[str, Any]) -> str:
    shape: Any = Session().get_service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(members, shape)
    unknown = members.keys() - shape.members.keys()
    return str(report.generate_report()) + "".join(sorted(unknown))


async def test_ses_is_sent_what_its_model_asks_for() -> None:
    request = await asked(SES)
    assert request.line == "POST /v2/email/outbound-emails HTTP/1.1"
    assert complaints("sesv2", "SendEmail", request.json) == ""
    assert request.json == {
        "FromEmailAddress": "Loop <care@loop.test>",
        "Destination": {"ToAddresses": [ADDRESS]},
        "ReplyToAddresses": ["help@loop.test"],
        "Content": {
            "Simple": {
                "Subject": {"Data": "Your visit", "Charset": "UTF-8"},
                "Body": {
                    "Html": {"Data": "<p>Hi <b>Ada</b></p>", "Charset": "UTF-8"},
                    "Text": {"Data": "Hi Ada", "Charset": "UTF-8"},
                },
                "Headers": [
                    {"Name": "Auto-Submitted", "Value": "auto-generated"},
                    {"Name": "X-Comms-Key", "Value": KEY},
                ],
            }
        },
        "EmailTags": [{"Name": "comms_key", "Value": KEY}],
        "ConfigurationSetName": "comms",
    }


async def test_every_header_that_mails_carry_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADERS, "List-Unsubscribe", "<https://comms.example/u/1>")
    content: Any = (await asked(SES)).json["Content"]
    assert {"Name": "List-Unsubscribe", "Value": "<https://comms.example/u/1>"} in content["Simple"][
        "Headers"
    ]


async def test_a_name_outside_ascii_is_encoded() -> None:
    request = await asked(SES, sender=Sender("care@loop.test", "Praxis für Ärztinnen " + "東京" * 20))
    name = request.json["FromEmailAddress"]
    assert isinstance(name, str)
    assert name.isascii()
    assert max(len(word) for word in name.split(" ")) <= 75
    assert name.endswith("?= <care@loop.test>")


async def test_sns_is_sent_what_its_model_asks_for() -> None:
    request = await asked(SNS)
    assert request.line == "POST / HTTP/1.1"
    assert request.form == {
        "Action": "Publish",
        "Version": Session().get_service_model("sns").api_version,
        "PhoneNumber": "+15555550123",
        "Message": "Hi Ada: 9:30",
        "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "Transactional",
        "MessageAttributes.entry.2.Name": "AWS.SNS.SMS.SenderID",
        "MessageAttributes.entry.2.Value.DataType": "String",
        "MessageAttributes.entry.2.Value.StringValue": "Loop",
    }


async def test_what_amazons_own_client_sends_to_sns_is_the_same_form() -> None:
    attributes = {
        "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Promotional"},
        "AWS.MM.SMS.OriginationNumber": {"DataType": "String", "StringValue": "+15555550100"},
    }
    client: Any = Session().create_client(
        "sns", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    theirs: list[dict[str, str]] = []

    def look(request: Any, **_: Any) -> None:
        theirs.append(dict(request.body))
        raise InterruptedError

    client.meta.events.register(
        "request-created.sns.Publish", lambda request, **_: theirs.append(request.data)
    )
    client.meta.events.register("before-send.sns.Publish", look)
    with pytest.raises(Exception):  # noqa: B017, PT011 - it was looked at, and nothing went out
        client.publish(PhoneNumber="+15555550123", Message="Hi Ada: 9:30", MessageAttributes=attributes)
    settings = {"sender_id": None, "origination_number": "+15555550100"}
    async with vendor(SNS.taken) as server, account(SNS, server.url, settings=settings) as provider:
        await provider.send(replace(SNS.outgoing, category="marketing"))
    assert server.asked[0].form == theirs[0]


@pytest.mark.parametrize(
    ("case", "content"),
    [(SES, Rendered("S", "x" * 40 * 1024 * 1024)), (SNS, Rendered(None, "x" * 1601))],
    ids=["ses", "sns"],
)
async def test_what_is_too_large_is_refused_before_the_call(case: Case, content: Rendered) -> None:
    outcome, server = await outcome_of(case, case.taken, content=content)
    assert (outcome, server.connections) == (Rejected("too_large"), 0)


DAILY = "Daily message quota exceeded."


@pytest.mark.parametrize(
    ("case", "answer", "outcome"),
    [
        (SES, said.ses(400, "MessageRejected", "Email address not verified x"), Misconfigured("ses_not_verified")),
        (SES, said.ses(400, "MailFromDomainNotVerifiedException", ""), Misconfigured("ses_MailFromDomainNotVerifiedException")),
        (SES, said.ses(404, "NotFoundException", "Configuration set comms"), Misconfigured("ses_NotFoundException")),
        (SES, said.ses(400, "SendingPausedException", ""), Misconfigured("ses_SendingPausedException")),
        (SES, said.ses(400, "AccountSuspendedException", ""), Misconfigured("ses_AccountSuspendedException")),
        (SES, said.ses(403, "SignatureDoesNotMatch", ""), Misconfigured("ses_SignatureDoesNotMatch")),
        (SES, said.ses(400, "ThrottlingException", "Maximum sending rate exceeded."), TryLater("ses_ThrottlingException")),
        (SES, said.ses(429, "TooManyRequestsException", DAILY), TryLater("ses_daily_quota", after=600)),
        (SES, said.ses(429, "TooManyRequestsException", DAILY, LATER), TryLater("ses_daily_quota", after=7)),
        (SES, said.ses(400, "SomethingNew", ""), Rejected("ses_http_400")),
        (SES, said.ses(500, "InternalServiceErrorException", ""), Lost("ses_http_500")),
        (SES, Said(400, {"__type": "com.amazonaws.ses#BadRequestException", "message": ""}), Rejected("ses_BadRequestException")),
        (SES, Said(400, {"__type": "BadRequestException", "Message": ""}), Rejected("ses_BadRequestException")),
        (SES, Said(413, raw=b""), Rejected("too_large")),
        (SNS, said.sns(400, "InvalidParameter", "Invalid parameter: Message too long"), Rejected("sns_InvalidParameter")),
        (SNS, said.sns(400, "InvalidParameter", "Invalid parameter: SenderID is not valid"), Misconfigured("sns_sender")),
        (SNS, said.sns(400, "OptedOut", ""), Rejected("sns_OptedOut")),
        (SNS, said.sns(403, "InvalidClientTokenId", ""), Misconfigured("sns_InvalidClientTokenId")),
        (SNS, said.sns(400, "Throttling", "Rate exceeded"), TryLater("sns_Throttling")),
        (SNS, said.sns(400, "SomethingNew", ""), Rejected("sns_http_400")),
        (SNS, said.sns(500, "InternalError", ""), Lost("sns_http_500")),
        (SNS, Said(200, raw=b"<PublishResponse><PublishResult><MessageId>"), Lost("answer_unreadable")),
    ],
)  # fmt: skip
async def test_each_odd_answer_has_its_meaning(case: Case, answer: Said, outcome: Outcome) -> None:
    assert (await outcome_of(case, answer))[0] == outcome


def test_no_code_means_two_things() -> None:
    for meanings in (ses._MEANINGS, sns._MEANINGS):
        codes = [*meanings.bad_recipient, *meanings.refused, *meanings.later, *meanings.setup, *meanings.lost]
        assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("kind", "settings", "complaint"),
    [
        ("ses", {}, "region is missing"),
        ("ses", {"region": "Ireland"}, "region does not have the form"),
        ("ses", {"region": "eu-west-1/../x"}, "region does not have the form"),
        ("ses", {"region": "eu-west-1", "topic_arn": "arn:aws:sqs:eu-west-1:123456789012:x"}, "topic_arn does not have the form"),
        ("ses", {"region": "eu-west-1", "configuration_set": "x"}, "did you mean configuration_set_name"),
        ("sns", {"region": "eu-west-1", "sender_id": "12345"}, "sender_id does not have the form"),
        ("sns", {"region": "eu-west-1", "origination_number": "Loop"}, "origination_number does not have the form"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_by_name(
    kind: str, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Refused, match=complaint):
        catalogue.check(kind, settings, set())


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "ap-southeast-2", "cn-north-1"])
def test_each_region_has_its_own_address(region: str) -> None:
    text = sns.compose(sns.SnsSettings(region), {}, SNS.outgoing)
    assert not isinstance(text, Rejected)
    theirs = Session().create_client("sns", region, aws_access_key_id="a", aws_secret_access_key="b")
    assert text.url == theirs.meta.endpoint_url + "/"


async def by_role(server: VendorServer, **changes: Any) -> Outcome:
    """A mail by an account without secrets."""
    case = replace(SES, secrets={})
    async with account(case, server.url) as provider:
        return await provider.send(replace(case.outgoing, **changes))


async def test_a_machine_without_a_role_is_our_set_up() -> None:
    async with vendor(SES.taken) as server:
        assert await by_role(server) == Misconfigured("credentials_missing")
        assert server.connections == 0


async def test_a_profile_that_is_not_there_is_our_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    async with vendor(SES.taken) as server:
        assert await by_role(server) == Misconfigured("credentials_refused")


async def test_the_environments_credentials_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "AKIDENV",
        "SECRET_ACCESS_KEY": SECRET,
        "SESSION_TOKEN": "t0ken",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    async with vendor(SES.taken) as server:
        assert isinstance(await by_role(server), Accepted)
    headers = server.asked[0].headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDENV/")
    assert "/eu-west-1/ses/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == "t0ken"


def role(key: str, lasts: timedelta = timedelta(hours=6)) -> Said:
    """Credentials as containers and machines are given them."""
    ends = (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {"AccessKeyId": key, "SecretAccessKey": SECRET, "Token": "t0ken", "Expiration": ends}
    return Said(200, {"Code": "Success", "RoleArn": "arn:aws:iam::123456789012:role/comms", **members})


@asynccontextmanager
async def container(monkeypatch: pytest.MonkeyPatch, *script: Said | Misdeed) -> AsyncIterator[VendorServer]:
    """A machine whose role is told by a server, as in a container."""
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS", 0.3)
    async with vendor(*script) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/role")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pass")
        yield server


async def key(credentials: Credentials, seconds: float = 5) -> str:
    found = await credentials.keys(seconds)
    return found.reason if isinstance(found, TryLater | Misconfigured) else str(found.access_key)


async def test_a_containers_role_is_asked_for_once_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch, role("AKIDPOD")) as server:
        credentials = Credentials({})
        assert await asyncio.gather(*(key(credentials) for _ in range(5))) == ["AKIDPOD"] * 5
        assert await key(credentials) == "AKIDPOD"
    assert [each.headers["authorization"] for each in server.asked] == ["pass"]


async def test_a_role_is_renewed_before_it_ends_while_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server runs in this loop: were it asked from here, it could not answer."""
    async with container(monkeypatch, role("FIRST"), role("SECOND")) as server:
        credentials = Credentials({})
        assert await key(credentials) == "FIRST"
        found: Any = credentials._found
        found._expiry_time = datetime.now(UTC) + timedelta(minutes=5)
        assert [await key(credentials), await key(credentials)] == ["SECOND"] * 2
    assert len(server.asked) == 2


async def test_a_role_that_can_not_be_renewed_yet_is_used_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch, role("FIRST", timedelta(minutes=12)), Said(400, {"message": "busy"})):
        credentials = Credentials({})
        assert [await key(credentials), await key(credentials)] == ["FIRST"] * 2


async def test_a_role_that_can_not_be_had_now_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch, Said(500, {})) as server:
        assert await Credentials({}).keys(5) == TryLater("credentials_unavailable")
    assert len(server.asked) == 3


async def test_a_role_that_takes_too_long_is_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch, Misdeed.NEVER_ANSWERS):
        assert await Credentials({}).keys(0.1) == TryLater("credentials_slow")


async def test_a_machines_role_is_asked_for_with_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """IMDSv2: a token first, then the role's name, then its credentials."""
    async with vendor(
        Said(200, raw=b"imds-token"), Said(200, raw=b"comms-role"), role("AKIDEC2"), SES.taken
    ) as server:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        assert isinstance(await by_role(server), Accepted)
    token, name, credentials, mail = server.asked
    assert token.line.startswith("PUT /latest/api/token")
    assert name.headers["x-aws-ec2-metadata-token"] == "imds-token"
    assert credentials.path.endswith("/comms-role")
    assert "Credential=AKIDEC2/" in mail.headers["authorization"]
