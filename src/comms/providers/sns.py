"""Texts through Amazon SNS, published to a number. A lost answer is a doubt: there is no idempotency key.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html and /sns/latest/dg/sms_publish-to-phone.html.
SNS says nothing afterwards. What people answer comes by a topic, from the service that its numbers belong to:
https://docs.aws.amazon.com/sms-voice/latest/userguide/two-way-sms-payload.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from comms.domain.permission import TRANSACTIONAL
from comms.providers.aws import Region, TopicArn, aws_kind, domain
from comms.providers.base import Accepted, Lost, Outcome, Outgoing, Rejected
from comms.providers.events import Happening, Inbound, Incoming, Unreadable
from comms.providers.http import Answer, Request
from comms.providers.topic import Notice, heard
from comms.providers.vendor import BaseUrl, Meanings, address, as_form

_LONGEST = 1600
_AS_XML = {"Accept": "*/*"}
"""Asked for JSON, as our connections do, older services of Amazon's answer in a shape of their own."""

_TAKEN = re.compile(rb"<PublishResult>\s*<MessageId>([0-9a-fA-F-]{8,64})</MessageId>")
_REFUSED = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")

_MEANINGS = Meanings(
    "sns",
    bad_recipient={"number": "the number is none that can be published to"},
    refused={
        "InvalidParameter": "the text is empty or too long",
        "OptedOut": "the person has opted out: the number is good",
        "ParameterValueInvalid": "",
        "ValidationError": "",
    },
    later={"Throttled": "more a second than the account may send", "Throttling": "the same, for all calls"},
    setup={
        "AuthorizationError": "the key may not publish to numbers",
        "ExpiredToken": "the role's credentials ended, by Amazon's clock",
        "IncompleteSignature": "the secrets are none",
        "InvalidClientTokenId": "no such key",
        "InvalidSecurity": "",
        "MissingAuthenticationToken": "",
        "OptInRequired": "the account has not subscribed to SNS",
        "RequestExpired": "our clock is wrong",
        "SignatureDoesNotMatch": "the secret is wrong, or our clock is",
        "sender": "the sender is not the account's",
    },
)


class SnsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Without a sender SNS chooses one. `topic_arn`: where people's answers are published."""

    region: Region
    sender_id: Annotated[str, Meta(pattern=r"^(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}(?!\n)$")] | None = None
    origination_number: Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{6,14}|[0-9]{3,8})(?!\n)$")] | None = None
    topic_arn: TopicArn | None = None
    base_url: BaseUrl | None = None


def compose(settings: SnsSettings, _secrets: Mapping[str, str], outgoing: Outgoing) -> Request | Rejected:
    """A form with the action Publish. There is no time to live, and no place for our key."""
    if len(outgoing.content.body) > _LONGEST:
        return Rejected("too_large")
    kind = "Transactional" if outgoing.category == TRANSACTIONAL else "Promotional"
    attributes = {
        "AWS.SNS.SMS.SMSType": kind,
        "AWS.SNS.SMS.SenderID": settings.sender_id,
        "AWS.MM.SMS.OriginationNumber": settings.origination_number,
    }
    fields: dict[str, str | None] = {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": outgoing.recipient,
        "Message": outgoing.content.body,
    }
    given = [(name, value) for name, value in attributes.items() if value]
    for n, (name, value) in enumerate(given, 1):
        entry = f"MessageAttributes.entry.{n}"
        fields |= {
            f"{entry}.Name": name,
            f"{entry}.Value.DataType": "String",
            f"{entry}.Value.StringValue": value,
        }
    base_url = settings.base_url or f"https://sns.{settings.region}.{domain(settings.region)}"
    return Request(address(base_url, "/"), *as_form(fields, _AS_XML))


def read(answer: Answer) -> Outcome:
    """XML: a MessageId is a text that was taken, a Code says why not."""
    body = answer.body or b""
    if answer.status == 200:
        taken = _TAKEN.search(body)
        return Accepted(taken[1].decode()) if taken else Lost("answer_unreadable")
    refused = _REFUSED.search(body)
    if not refused:
        return _MEANINGS.of(replace(answer, members={}))
    code = refused[1].decode()
    return _MEANINGS.of(replace(answer, members={"Code": code}), _closer(code, body))


def _closer(code: str, prose: bytes) -> str:
    """`Invalid parameter: PhoneNumber Reason: ...`: what is invalid stands in the prose alone."""
    if code != "InvalidParameter":
        return code
    if re.search(rb"PhoneNumber|Phone number|E\.?164", prose):
        return "number"
    return "sender" if re.search(rb"SenderID|OriginationNumber", prose) else code


class _Answer(Struct, frozen=True, rename="camel"):
    inbound_message_id: str
    origination_number: str
    destination_number: str
    message_body: str


def parse_events(settings: SnsSettings, _secrets: Mapping[str, str], incoming: Incoming) -> list[Happening]:
    """A person's text to a number of the account."""
    notice = heard(settings.topic_arn, incoming)
    if not isinstance(notice, Notice):
        return [notice] if notice else []
    if "inboundMessageId" not in notice.members:
        return []
    try:
        said = msgspec.convert(notice.members, _Answer)
    except msgspec.ValidationError:
        raise Unreadable from None
    return [
        Inbound(
            said.inbound_message_id,
            notice.at,
            said.origination_number,
            said.destination_number,
            said.message_body,
        )
    ]


KIND = aws_kind("sms", "sns", SnsSettings, compose, read, parse_events)
