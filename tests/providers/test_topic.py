"""What a topic posts is believed when Amazon signed it, for our topic, now."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.providers.events import Confirmation, Forged, Unreadable, Wanted
from comms.providers.topic import Notice, heard
from tests.providers.amazon import NOW, PEM_URL, TOPIC, Notary

NOTARY = Notary()
CONFIRM = f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"


def confirming(url: str) -> dict[str, Any]:
    return NOTARY.signed(
        Type="SubscriptionConfirmation",
        Token="2336412f37",
        SubscribeURL=url,
        Message="You have chosen to subscribe",
    )


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "A bounce"}], ids=["plain", "with a subject"])
def test_what_is_signed_for_our_topic_is_heard(version: str, subject: dict[str, str]) -> None:
    members = NOTARY.signed(version, Message='{"é": "\\n"}', **subject)
    notice = heard(TOPIC, NOTARY.incoming(members))
    assert isinstance(notice, Notice)
    assert notice.id == "da41e39f-ea4d-435a-b922-c6aae3915ebe"
    assert notice.at == NOW - timedelta(minutes=1)
    assert notice.members == {"é": "\n"}


@pytest.mark.parametrize(
    "member",
    ["Message", "MessageId", "Timestamp", "Type", "Signature", "SignatureVersion", "Subject", "TopicArn"],
)
def test_one_changed_member_is_a_forgery(member: str) -> None:
    other = {
        "Message": '{"eventType": "Bounce"}',
        "Timestamp": "2030-01-01T11:59:00.001Z",
        "Type": "UnsubscribeConfirmation",
        "Signature": "AAAA",
        "SignatureVersion": "1",
        "TopicArn": TOPIC + "2",
    }
    members = NOTARY.signed() | {member: other.get(member, "x")}
    with pytest.raises(Forged):
        heard(members["TopicArn"], NOTARY.incoming(members))


@pytest.mark.parametrize(
    "member", ["Message", "MessageId", "Timestamp", "Type", "Signature", "SigningCertURL", "TopicArn"]
)
def test_a_member_that_is_not_there_is_a_forgery(member: str) -> None:
    members = NOTARY.signed()
    del members[member]
    with pytest.raises(Forged):
        heard(TOPIC, NOTARY.incoming(members))


@pytest.mark.parametrize("topic", [None, TOPIC.replace("comms", "other"), TOPIC.replace("1234", "4321")])
def test_somebody_elses_topic_is_not_heard_whoever_signed(topic: str | None) -> None:
    with pytest.raises(Forged):
        heard(topic, NOTARY.incoming(NOTARY.signed()))


@pytest.mark.parametrize(
    "url",
    [
        PEM_URL.replace("https:", "http:"),
        PEM_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        PEM_URL.replace("sns.", "evil.example/sns."),
        PEM_URL.replace("sns.", "sns.evil.example?sns."),
        PEM_URL.replace("sns.us-east-1", "s3.us-east-1"),
        PEM_URL.replace("us-east-1", "eu-west-1"),
        PEM_URL.replace("amazonaws.com", "amazonaws.com@evil.example"),
        PEM_URL.replace("amazonaws.com/", "amazonaws.com/../x/"),
        PEM_URL.replace(".pem", ".pem\n"),
        PEM_URL.replace(".pem", ".pem#"),
        "",
    ],
)
def test_a_certificate_is_wanted_from_amazon_alone(url: str) -> None:
    with pytest.raises(Forged):
        heard(TOPIC, NOTARY.incoming(NOTARY.signed(SigningCertURL=url), documents={url: NOTARY.pem}))


def test_a_certificate_that_is_not_here_is_wanted() -> None:
    with pytest.raises(Wanted) as wanted:
        heard(TOPIC, NOTARY.incoming(NOTARY.signed(), documents={}))
    assert wanted.value.url == PEM_URL


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"<html>",
        Notary().pem,
        NOTARY.certificate(NOW + timedelta(hours=1)),
        NOTARY.certificate(NOW - timedelta(days=31)),
        Notary(with_rsa=False).pem,
    ],
    ids=["nothing", "a page", "another's", "not yet", "no more", "no RSA"],
)
def test_a_certificate_that_is_none_verifies_nothing(pem: bytes) -> None:
    with pytest.raises(Forged):
        heard(TOPIC, NOTARY.incoming(NOTARY.signed(), documents={PEM_URL: pem}))


@pytest.mark.parametrize(
    ("at", "good"),
    [
        ("2030-01-01T10:46:00.000Z", True),
        ("2030-01-01T10:44:00.000Z", False),
        ("2030-01-01T12:14:00.000Z", True),
        ("2030-01-01T12:16:00.000Z", False),
        ("2030-01-01T11:59:00.000", False),
    ],
)
def test_what_is_older_than_a_retry_may_be_is_a_replay(at: str, good: object) -> None:
    incoming = NOTARY.incoming(NOTARY.signed(Timestamp=at))
    if good:
        assert isinstance(heard(TOPIC, incoming), Notice)
    else:
        with pytest.raises(Forged):
            heard(TOPIC, incoming)


def test_a_subscription_is_confirmed_at_amazons_address() -> None:
    assert heard(TOPIC, NOTARY.incoming(confirming(CONFIRM))) == Confirmation(CONFIRM)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&Token=1",
        CONFIRM.replace("https:", "http:"),
        CONFIRM.replace("us-east-1.a", "eu-west-1.a"),
        CONFIRM.replace("ConfirmSubscription", "DeleteTopic"),
        CONFIRM.replace("amazonaws.com", "amazonaws.com:8080"),
        "",
    ],
)
def test_no_other_address_is_to_be_fetched(url: str) -> None:
    with pytest.raises(Unreadable):
        heard(TOPIC, NOTARY.incoming(confirming(url)))


def test_an_unsubscription_asks_nothing_of_us() -> None:
    members = confirming(CONFIRM) | {"Type": "UnsubscribeConfirmation"}
    del members["Signature"], members["SigningCertURL"]
    assert heard(TOPIC, NOTARY.incoming(NOTARY.signed(**members))) is None


@pytest.mark.parametrize(
    "text", ["Successfully validated SNS topic for Amazon SES event publishing.", "[1]", "", "[" * 9999]
)
def test_a_message_that_is_no_object_asks_nothing_of_us(text: str) -> None:
    assert heard(TOPIC, NOTARY.incoming(NOTARY.signed(Message=text))) is None


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(NOTARY.signed())), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_in_is_a_forgery(body: bytes) -> None:
    with pytest.raises(Forged):
        heard(TOPIC, NOTARY.incoming(body))
