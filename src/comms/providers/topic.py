"""What a topic of Amazon's SNS posts to us: signed by a certificate of Amazon's, for anybody's topic.

So the signature alone says little: the topic must be the one that was set up.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate
from msgspec import Meta, Struct

from comms.providers.events import Confirmation, Forged, Incoming, Unreadable, Wanted

_OLDEST = timedelta(hours=1, minutes=15)
"""A topic retries for at most an hour (https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html)."""

_AHEAD = timedelta(minutes=15)
_CERTIFICATE = re.compile(
    r"https://sns\.([a-z0-9-]{6,30})\.amazonaws\.com(\.cn)?/SimpleNotificationService-[0-9a-f]{32}\.pem"
)
_CONFIRMING = re.compile(
    r"https://sns\.([a-z0-9-]{6,30})\.amazonaws\.com(\.cn)?/\?Action=ConfirmSubscription&\S+"
)
_NOTIFIED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMED = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class _Posted(Struct, frozen=True, rename="pascal"):
    """The members that count, as they came."""

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    message_id: str
    topic_arn: str
    message: str
    timestamp: Annotated[datetime, Meta(tz=True)]
    signature_version: Literal["1", "2"]
    signature: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message that was published to the topic; `id` is the same however often it is posted."""

    id: str
    at: datetime
    members: dict[str, Any] = field(repr=False)


def heard(topic_arn: str | None, incoming: Incoming) -> Notice | Confirmation | None:
    """What was posted. None where it asks nothing of us. Raises Forged, Unreadable or Wanted."""
    posted = _read(incoming.body)
    if topic_arn is None or posted.topic_arn != topic_arn:
        raise Forged
    _verify(posted, incoming)
    if posted.type == "SubscriptionConfirmation":
        return _confirmation(posted)
    if posted.type == "UnsubscribeConfirmation":  # its address would subscribe us again: a person's business
        return None
    return _notice(posted)


def _read(body: bytes) -> _Posted:
    try:
        return msgspec.json.decode(body, type=_Posted)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Forged from None


def _verify(posted: _Posted, incoming: Incoming) -> None:
    url = _CERTIFICATE.fullmatch(posted.signing_cert_url)
    if not url or url[1] != _region(posted):
        raise Forged
    if not -_AHEAD <= incoming.now - posted.timestamp <= _OLDEST:
        raise Forged
    if posted.signing_cert_url not in incoming.documents:
        raise Wanted(posted.signing_cert_url)
    key = _key(incoming.documents[posted.signing_cert_url], incoming.now)
    digest = hashes.SHA1() if posted.signature_version == "1" else hashes.SHA256()  # noqa: S303 - what a topic signs with unless told otherwise
    try:
        signature = base64.b64decode(posted.signature, validate=True)
        key.verify(signature, _signed(posted, incoming.body), PKCS1v15(), digest)
    except (InvalidSignature, ValueError):
        raise Forged from None


def _key(pem: bytes, now: datetime) -> RSAPublicKey:
    try:
        certificate = load_pem_x509_certificate(pem)
    except ValueError:
        raise Forged from None
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Forged
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Forged
    return key


def _signed(posted: _Posted, body: bytes) -> bytes:
    """The members that are signed, as text: each name and each value on a line."""
    members = msgspec.json.decode(body)
    names = _NOTIFIED if posted.type == "Notification" else _CONFIRMED
    given = ((name, members.get(name)) for name in names)
    return "".join(f"{name}\n{value}\n" for name, value in given if value is not None).encode()


def _confirmation(posted: _Posted) -> Confirmation:
    url = _CONFIRMING.fullmatch(posted.subscribe_url or "")
    if not url or url[1] != _region(posted):
        raise Unreadable
    return Confirmation(url[0])


def _notice(posted: _Posted) -> Notice | None:
    """Its message is JSON in a text. Other text is Amazon trying the topic out."""
    try:
        members = msgspec.json.decode(posted.message)
    except (msgspec.DecodeError, RecursionError):
        return None
    return Notice(posted.message_id, posted.timestamp, members) if isinstance(members, dict) else None


def _region(posted: _Posted) -> str:
    return posted.topic_arn.split(":")[3]
