"""E-mail through Amazon SES, version 2 of its API. A lost answer is a doubt: there is no idempotency key.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html; what it says afterwards:
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.utils import formataddr
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from comms.providers.aws import Region, TopicArn, aws_kind, domain
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.events import Event, EventName, Happening, Incoming, Unreadable
from comms.providers.http import Answer, Request
from comms.providers.mail import Envelope, envelope, own_headers
from comms.providers.topic import Notice, heard
from comms.providers.vendor import BaseUrl, Meanings, address, as_json

_LARGEST = 40 * 1024 * 1024
_DAY_IS_SPENT_SECONDS = 600.0
_KEY, _KEY_HEADER = "comms_key", "X-Comms-Key"

_MEANINGS = Meanings(
    "ses",
    refused={
        "BadRequestException": "something in it is no value",
        "MessageRejected": "its content is not wanted",
        "RequestEntityTooLarge": "",
    },
    later={
        "TooManyRequestsException": "more a second than the account may send",
        "ThrottlingException": "the same, by another part of it",
        "Throttling": "the same, as version 1 says it",
        "LimitExceededException": "the account has too much of something",
    },
    setup={
        "not_verified": "the sender, or in the sandbox the recipient, is not verified",
        "AccessDeniedException": "the key may not send, or not from that address",
        "AccountSuspendedException": "",
        "ExpiredTokenException": "the role's credentials ended, by Amazon's clock",
        "IncompleteSignatureException": "the secrets are none",
        "InvalidClientTokenId": "no such key, or one of another partition",
        "InvalidSignatureException": "the secret is wrong, or our clock is",
        "MailFromDomainNotVerifiedException": "",
        "NotFoundException": "no such configuration set",
        "SendingPausedException": "",
        "SignatureDoesNotMatch": "the secret is wrong",
        "UnrecognizedClientException": "no such key",
    },
)


class SesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`configuration_set_name`: without one SES publishes no events. `topic_arn`: where it publishes them."""

    region: Region
    configuration_set_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")] | None = None
    topic_arn: TopicArn | None = None
    base_url: BaseUrl | None = None


def compose(
    settings: SesSettings, _secrets: Mapping[str, str], outgoing: Outgoing
) -> Request | Rejected | Misconfigured:
    """POST /v2/email/outbound-emails. SES makes the MIME; our key travels as a tag and as a header."""
    mail = envelope(outgoing)
    if not isinstance(mail, Envelope):
        return mail
    headers = {**own_headers(outgoing), _KEY_HEADER: outgoing.key}
    body = {"Html": _text(outgoing.content.body)}
    if outgoing.content.text is not None:
        body["Text"] = _text(outgoing.content.text)
    members = {
        "FromEmailAddress": _named(mail.sender),
        "Destination": {"ToAddresses": [mail.recipient]},
        "ReplyToAddresses": [mail.reply_to] if mail.reply_to else None,
        "Content": {
            "Simple": {
                "Subject": _text(mail.subject),
                "Body": body,
                "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
            }
        },
        "EmailTags": [{"Name": _KEY, "Value": outgoing.key}],
        "ConfigurationSetName": settings.configuration_set_name,
    }
    base_url = settings.base_url or f"https://email.{settings.region}.{domain(settings.region)}"
    request = Request(address(base_url, "/v2/email/outbound-emails"), *as_json(members, {}))
    return Rejected("too_large") if len(request.body) > _LARGEST else request


def read(answer: Answer) -> Outcome:
    """A MessageId is a mail that was taken; else a header, or a member, names the exception."""
    if answer.status == 200:
        reference = answer.members.get("MessageId")
        return Accepted(reference) if isinstance(reference, str) else Lost("answer_unreadable")
    code, prose = _code(answer), str(answer.members.get("message", answer.members.get("Message")))
    if code == "MessageRejected" and "not verified" in prose:
        code = "not_verified"
    outcome = _MEANINGS.of(answer, code)
    if isinstance(outcome, TryLater) and "Daily" in prose:
        return TryLater("ses_daily_quota", after=outcome.after or _DAY_IS_SPENT_SECONDS)
    return outcome


def _code(answer: Answer) -> str | None:
    """`x-amzn-ErrorType: Name:http://...`, or `__type: prefix#Name`."""
    code = answer.headers.get("x-amzn-ErrorType") or answer.members.get("__type")
    return code.partition(":")[0].rpartition("#")[2] if isinstance(code, str) else None


def _named(sender: Address) -> str:
    """SES takes a name in ASCII, so another is encoded (RFC 2047), in words of 75 characters."""
    name = sender.display_name
    if name.isascii():
        return formataddr((name, sender.addr_spec))
    return f"{Header(name, 'utf-8').encode(linesep='', maxlinelen=75)} <{sender.addr_spec}>"


def _text(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


_EVENTS: dict[str, tuple[EventName, str]] = {
    "Send": ("accepted", "send"),
    "Delivery": ("delivered", "delivery"),
    "DeliveryDelay": ("deferred", "deliveryDelay"),
    "Bounce": ("bounced", "bounce"),
    "Complaint": ("complained", "complaint"),
    "Reject": ("failed", "reject"),  # it holds a virus
    "Rendering Failure": ("failed", "failure"),
    "Open": ("opened", "open"),
    "Click": ("clicked", "click"),
    "Subscription": ("unsubscribed", "subscription"),
}
"""What happened by its name, and the member that tells of it. Other names ask nothing of us."""

_GONE = {
    "General": "the mailbox is not there",
    "NoEmail": "nor can its server say more",
    "OnAccountSuppressionList": "SES would not try: it bounced or complained before",
    "OnTenantSuppressionList": "the same, for one tenant of the account",
    "Suppressed": "the same, for all of Amazon's customers",
}
"""Permanent bounces after which the address is not to be used again. The others are about the one mail."""


class _Recipient(Struct, frozen=True, rename="camel"):
    email_address: str


class _Topic(Struct, frozen=True, rename="camel"):
    subscription_status: str = ""


class _Preferences(Struct, frozen=True, rename="camel"):
    unsubscribe_all: bool = False
    topic_subscription_status: list[_Topic] = []


class _Told(Struct, frozen=True, rename="camel"):
    """What any of the members of `_EVENTS` may hold, as far as it counts."""

    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    feedback_id: str | None = None
    bounce_type: str = ""
    bounce_sub_type: str = ""
    complaint_feedback_type: str | None = None
    bounced_recipients: list[_Recipient] = []
    complained_recipients: list[_Recipient] = []
    new_topic_preferences: _Preferences = _Preferences()


class _Header(Struct, frozen=True):
    name: str
    value: str


class _Mail(Struct, frozen=True, rename="camel"):
    """`tags` come with what a configuration set publishes, `headers` with an identity's feedback."""

    message_id: str
    destination: list[str] = []
    tags: dict[str, list[str]] = {}
    headers: list[_Header] = []

    @property
    def key(self) -> str | None:
        """Ours, by either way."""
        tagged = self.tags.get(_KEY) or [each.value for each in self.headers if each.name == _KEY_HEADER]
        return tagged[0] if tagged else None


def parse_events(settings: SesSettings, _secrets: Mapping[str, str], incoming: Incoming) -> list[Happening]:
    """What a topic posts: of a configuration set (`eventType`), or of an identity (`notificationType`)."""
    notice = heard(settings.topic_arn, incoming)
    if not isinstance(notice, Notice):
        return [notice] if notice else []
    said = notice.members.get("eventType") or notice.members.get("notificationType")
    name, member = _EVENTS.get(str(said), (None, ""))
    if name is None:
        return []
    try:
        mail = msgspec.convert(notice.members.get("mail"), _Mail)
        told = msgspec.convert(notice.members.get(member) or {}, _Told)
    except msgspec.ValidationError:
        raise Unreadable from None
    return [] if _is_no_news(name, told) else _events(name, mail, told, notice.at)


def _is_no_news(name: EventName, told: _Told) -> bool:
    """A complaint taken back (RFC 5965, section 7.3, `not-spam`), and preferences that leave nothing out."""
    wishes = told.new_topic_preferences
    left = wishes.unsubscribe_all or any(
        t.subscription_status == "OptOut" for t in wishes.topic_subscription_status
    )
    return told.complaint_feedback_type == "not-spam" or (name == "unsubscribed" and not left)


def _events(name: EventName, mail: _Mail, told: _Told, posted_at: datetime) -> list[Happening]:
    """One a recipient; of ours there is one. The id is the same whichever way it comes, however often."""
    named = [each.email_address for each in told.bounced_recipients + told.complained_recipients]
    at = told.timestamp or posted_at
    which = told.feedback_id or at.isoformat()
    return [
        Event(
            id=f"{mail.message_id}/{name}/{which}/{n}",
            event=name,
            at=at,
            key=mail.key,
            reference=mail.message_id,
            recipient=recipient,
            for_good=told.bounce_type == "Permanent" and told.bounce_sub_type in _GONE,
            reason=_reason(told),
        )
        for n, recipient in enumerate(named or mail.destination or [None])
    ]


def _reason(told: _Told) -> str | None:
    said = [told.bounce_type, told.bounce_sub_type, told.complaint_feedback_type or ""]
    words = [word for word in said if re.fullmatch("[A-Za-z-]{1,40}", word)]
    return "_".join(["ses", *words]).replace("-", "_") if words else None


KIND = aws_kind("email", "ses", SesSettings, compose, read, parse_events)
