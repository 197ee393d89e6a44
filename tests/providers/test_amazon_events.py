"""What SES and SNS say afterwards, in our words. The bodies are as Amazon's pages print them, with our key."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.providers import ses, sns
from comms.providers.events import (
    Confirmation,
    Event,
    Forged,
    Happening,
    Inbound,
    Incoming,
    Unreadable,
    Wanted,
)
from tests.providers.amazon import NOW, TOPIC, Notary
from tests.providers.contract import ADDRESS, KEY

NOTARY = Notary()
MAILS = ses.SesSettings("us-east-1", topic_arn=TOPIC)
TEXTS = sns.SnsSettings("us-east-1", topic_arn=TOPIC)
PARSE: dict[str, Callable[[Incoming], list[Happening]]] = {
    "ses": partial(ses.parse_events, MAILS, {}),
    "sns": partial(sns.parse_events, TEXTS, {}),
}
AT = datetime(2030, 1, 1, 11, 58, 30, tzinfo=UTC)
MAIL = {
    "timestamp": "2030-01-01T11:58:00.000Z",
    "source": "care@loop.test",
    "messageId": "EXAMPLE7c191be45-e9aedb9a-000000",
    "destination": [ADDRESS],
    "headersTruncated": False,
    "tags": {"ses:configuration-set": ["comms"], "comms_key": [KEY]},
}
TOLD = {"timestamp": "2030-01-01T11:58:30.000Z"}
BOUNCE = {
    **TOLD,
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "bouncedRecipients": [
        {"emailAddress": ADDRESS, "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1"}
    ],
    "feedbackId": "01000157c44f053b-61b59c11",
    "reportingMTA": "dsn; mta.example.com",
}
COMPLAINT = {
    **TOLD,
    "complainedRecipients": [{"emailAddress": ADDRESS}],
    "feedbackId": "01000157c44f053c-61b59c11",
    "complaintSubType": None,
    "userAgent": "Amazon SES Mailbox Simulator",
    "complaintFeedbackType": "abuse",
}


def heard(
    name: str, member: str = "", told: Any = None, mail: Any = MAIL, label: str = "eventType"
) -> list[Happening]:
    message = {label: name, "mail": mail, **({member: told} if member else {})}
    incoming = NOTARY.incoming(NOTARY.signed(Message=json.dumps(message)))
    return ses.parse_events(MAILS, {}, incoming)


def event(*args: Any, **kwargs: Any) -> Event:
    [only] = heard(*args, **kwargs)
    assert isinstance(only, Event)
    return only


@pytest.mark.parametrize(
    ("name", "member", "told", "expected", "at"),
    [
        ("Send", "send", {}, "accepted", NOW.replace(hour=11, minute=59)),
        ("Delivery", "delivery", {**TOLD, "processingTimeMillis": 11893, "recipients": [ADDRESS], "smtpResponse": "250 2.6.0"}, "delivered", AT),
        ("DeliveryDelay", "deliveryDelay", {**TOLD, "delayType": "TransientCommunicationFailure", "expirationTime": "2030-01-02T00:25:09.914Z"}, "deferred", AT),
        ("Bounce", "bounce", BOUNCE, "bounced", AT),
        ("Complaint", "complaint", COMPLAINT, "complained", AT),
        ("Reject", "reject", {"reason": "Bad content"}, "failed", NOW.replace(hour=11, minute=59)),
        ("Rendering Failure", "failure", {"errorMessage": "Attribute 'x' is not present", "templateName": "T"}, "failed", NOW.replace(hour=11, minute=59)),
        ("Open", "open", {**TOLD, "ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0"}, "opened", AT),
        ("Click", "click", {**TOLD, "ipAddress": "192.0.2.1", "link": "http://example.org", "linkTags": None}, "clicked", AT),
        ("Subscription", "subscription", {**TOLD, "source": "UnsubscribeHeader", "newTopicPreferences": {"unsubscribeAll": True}}, "unsubscribed", AT),
    ],
)  # fmt: skip
def test_each_event_has_its_word(name: str, member: str, told: Any, expected: str, at: datetime) -> None:
    found = event(name, member, told)
    assert (found.event, found.at, found.key, found.recipient) == (expected, at, KEY, ADDRESS)
    assert found.reference == "EXAMPLE7c191be45-e9aedb9a-000000"


@pytest.mark.parametrize(
    ("kind", "subtype", "for_good"),
    [
        ("Permanent", "General", True),
        ("Permanent", "NoEmail", True),
        ("Permanent", "Suppressed", True),
        ("Permanent", "OnAccountSuppressionList", True),
        ("Permanent", "UnsubscribedRecipient", False),
        ("Transient", "General", False),
        ("Transient", "MailboxFull", False),
        ("Transient", "MessageTooLarge", False),
        ("Undetermined", "Undetermined", False),
    ],
)
def test_only_a_bounce_of_a_mailbox_that_is_not_there_is_for_good(
    kind: str, subtype: str, for_good: object
) -> None:
    found = event("Bounce", "bounce", {**BOUNCE, "bounceType": kind, "bounceSubType": subtype})
    assert found.for_good is for_good
    assert found.reason == f"ses_{kind}_{subtype}"


def test_a_reason_is_a_code_whatever_is_said() -> None:
    assert event("Bounce", "bounce", {**BOUNCE, "bounceSubType": f"<{ADDRESS}>"}).reason == "ses_Permanent"
    assert event("Complaint", "complaint", COMPLAINT).reason == "ses_abuse"


def test_a_complaint_that_is_taken_back_is_none() -> None:
    assert heard("Complaint", "complaint", {**COMPLAINT, "complaintFeedbackType": "not-spam"}) == []


@pytest.mark.parametrize(
    ("preferences", "count"),
    [
        (
            {
                "unsubscribeAll": False,
                "topicSubscriptionStatus": [{"topicName": "a", "subscriptionStatus": "OptIn"}],
            },
            0,
        ),
        (
            {
                "unsubscribeAll": False,
                "topicSubscriptionStatus": [{"topicName": "a", "subscriptionStatus": "OptOut"}],
            },
            1,
        ),
        ({}, 0),
    ],
)
def test_other_preferences_are_no_unsubscription(preferences: dict[str, Any], count: int) -> None:
    assert len(heard("Subscription", "subscription", {**TOLD, "newTopicPreferences": preferences})) == count


def test_an_identitys_feedback_carries_the_key_in_a_header_and_has_the_same_id() -> None:
    headers = [{"name": "From", "value": "care@loop.test"}, {"name": "X-Comms-Key", "value": KEY}]
    feedback = {**{name: value for name, value in MAIL.items() if name != "tags"}, "headers": headers}
    found = event("Bounce", "bounce", BOUNCE, mail=feedback, label="notificationType")
    assert found == event("Bounce", "bounce", BOUNCE)


def test_without_a_key_there_is_the_reference() -> None:
    found = event("Delivery", "delivery", TOLD, mail={"messageId": "m-1"})
    assert (found.key, found.reference, found.recipient) == (None, "m-1", None)


def test_events_are_told_apart_by_their_ids() -> None:
    later = {**TOLD, "timestamp": "2030-01-01T11:58:31.000Z"}
    found = [
        event("Open", "open", TOLD),
        event("Open", "open", later),
        event("Click", "click", TOLD),
        event("Send"),
    ]
    assert len({each.id for each in found}) == 4


def test_two_recipients_are_two_events() -> None:
    recipients = [{"emailAddress": "a@example.org"}, {"emailAddress": "b@example.org"}]
    found = heard("Bounce", "bounce", {**BOUNCE, "bouncedRecipients": recipients})
    assert [each.recipient for each in found if isinstance(each, Event)] == ["a@example.org", "b@example.org"]
    assert len({each.id for each in found if isinstance(each, Event)}) == 2


@pytest.mark.parametrize("name", ["AmazonSnsSubscriptionSucceeded", "Something new", [], None, {}])
def test_what_is_not_known_asks_nothing_of_us(name: Any) -> None:
    assert heard(name) == []


@pytest.mark.parametrize(
    "mail", [None, [], {}, {"messageId": 7}, {"messageId": "m", "tags": {"comms_key": 1}}]
)
def test_what_is_signed_and_makes_no_sense_is_said_so(mail: Any) -> None:
    with pytest.raises(Unreadable):
        heard("Delivery", "delivery", TOLD, mail=mail)


ANSWER = {
    "originationNumber": "+14255550182",
    "destinationNumber": "+12125550101",
    "messageKeyword": "JOIN",
    "messageBody": "STOP",
    "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
    "previousPublishedMessageId": "wJalrXUtnFEMI",
}


def said(members: Any) -> list[Happening]:
    return sns.parse_events(TEXTS, {}, NOTARY.incoming(NOTARY.signed(Message=json.dumps(members))))


def test_a_persons_answer_is_heard() -> None:
    assert said(ANSWER) == [
        Inbound(
            "cae173d2-66b9-564c-8309-21f858e9fb84",
            NOW.replace(hour=11, minute=59),
            "+14255550182",
            "+12125550101",
            "STOP",
        )
    ]


def test_what_is_no_answer_asks_nothing_of_us() -> None:
    assert said({"eventType": "TEXT_DELIVERED"}) == []
    with pytest.raises(Unreadable):
        said({"inboundMessageId": "1", "messageBody": None})


@pytest.mark.parametrize("kind", ["ses", "sns"])
def test_a_subscription_is_passed_on_and_a_stranger_is_not(kind: str) -> None:
    url = f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2"
    confirming = NOTARY.signed(Type="SubscriptionConfirmation", Token="2", SubscribeURL=url)
    parse = PARSE[kind]
    assert parse(NOTARY.incoming(confirming)) == [Confirmation(url)]
    with pytest.raises(Forged):
        parse(NOTARY.incoming({**confirming, "Token": "3"}))
    with pytest.raises(Wanted):
        parse(NOTARY.incoming(confirming, documents={}))


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "eventType",
                        "mail",
                        "bounce",
                        "messageId",
                        "tags",
                        "headers",
                        "timestamp",
                        "inboundMessageId",
                    ]
                ),
                inner | st.sampled_from(["Bounce", "Open"]),
            )
        ),
    )
)
def test_whatever_is_signed_is_read_or_unreadable(message: Any) -> None:
    for parse in PARSE.values():
        with contextlib.suppress(Unreadable):
            assert isinstance(parse(NOTARY.incoming(NOTARY.signed(Message=json.dumps(message)))), list)
