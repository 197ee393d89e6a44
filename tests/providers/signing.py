"""What vendors call us with: recorded payloads, signed by a second implementation of each vendor's scheme.

That this one signs as the vendor does is shown by the vendors' published examples, in test_vendor_events.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from comms.providers.events import Happening, Incoming
from tests.providers.contract import KEY

NOW = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
ADDRESS = "https://comms.example/v1/webhooks/vendor"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}

EC_KEYS = [ec.derive_private_key(7, ec.SECP256R1()), ec.derive_private_key(8, ec.SECP256R1())]
ED_KEYS = [ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (7, 8)]
TOKEN = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
EVENT_ID = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"

Sign = Callable[[Any, str, int], Incoming]
"""Of a payload, a time in seconds and whose secret it is: 0 ours, 1 a stranger's."""


@dataclass(frozen=True)
class Voice:
    """How a vendor's calls are made and checked."""

    kind: str
    secrets: Mapping[str, str]
    sign: Sign
    signs_body: bool = True
    signs_time: bool = True
    settings: Any = None

    def call(self, said: Any, now: datetime = NOW, *, by_stranger: bool = False) -> Incoming:
        """A call as the vendor would make it at `now`."""
        return self.sign(said, str(int(now.timestamp())), int(by_stranger))


def _secret(stranger: int) -> str:
    return f"webhook-s3cr3t-{stranger}"


def _at(body: bytes, headers: Mapping[str, str], address: str = ADDRESS) -> Incoming:
    return Incoming(address, Folded(headers), body, NOW)


class Folded(dict[str, str]):
    """Headers, whose names are found in any spelling."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def postmark(said: Any, _stamp: str, stranger: int) -> Incoming:
    login = base64.b64encode(f"comms:{_secret(stranger)}".encode()).decode()
    return _at(json.dumps(said).encode(), {**JSON, "Authorization": f"Basic {login}"})


def sendgrid(said: Any, stamp: str, stranger: int) -> Incoming:
    body = json.dumps(said, separators=(",", ":")).encode() + b"\r\n"
    signature = EC_KEYS[stranger].sign(stamp.encode() + body, ec.ECDSA(SHA256()))
    name = "X-Twilio-Email-Event-Webhook-"
    signed = {name + "Signature": base64.b64encode(signature).decode(), name + "Timestamp": stamp}
    return _at(body, {**JSON, **signed})


def resend(said: Any, stamp: str, stranger: int) -> Incoming:
    body = json.dumps(said)
    mac = hmac.new(_secret(stranger).encode(), f"{EVENT_ID}.{stamp}.{body}".encode(), hashlib.sha256)
    signed = "v1," + base64.b64encode(mac.digest()).decode()
    old = "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo="  # while a secret is changed there are two
    headers = {"svix-id": EVENT_ID, "svix-timestamp": stamp, "svix-signature": f"{old} {signed}"}
    return _at(body.encode(), {**JSON, **headers})


def mailgun(said: Any, stamp: str, stranger: int) -> Incoming:
    mac = hmac.new(_secret(stranger).encode(), (stamp + TOKEN).encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": stamp, "token": TOKEN, "signature": mac}
    whole = {**said, "signature": signed} if isinstance(said, dict) else said
    return _at(json.dumps(whole).encode(), JSON)


def twilio(said: Any, _stamp: str, stranger: int, address: str = f"{ADDRESS}?key={KEY}") -> Incoming:
    fields = (
        {name: str(value) for name, value in said.items()} if isinstance(said, dict) else {"x": str(said)}
    )
    signed = address + "".join(name + fields[name] for name in sorted(fields))
    mac = hmac.new(_secret(stranger).encode(), signed.encode(), hashlib.sha1).digest()
    headers = {**FORM, "X-Twilio-Signature": base64.b64encode(mac).decode()}
    return _at(urlencode(fields).encode(), headers, address)


def telnyx(said: Any, stamp: str, stranger: int) -> Incoming:
    body = json.dumps(said).encode()
    signature = base64.b64encode(ED_KEYS[stranger].sign(f"{stamp}|".encode() + body)).decode()
    return _at(body, {**JSON, "telnyx-signature-ed25519": signature, "telnyx-timestamp": stamp})


def vonage(said: Any, stamp: str, stranger: int) -> Incoming:
    whole = {**said, "timestamp": stamp} if isinstance(said, dict) else {"x": said, "timestamp": stamp}
    said_by = "".join(
        f"&{name}=" + str(value).replace("&", "_").replace("=", "_")
        for name, value in sorted(whole.items(), key=lambda each: each[0])
    )
    whole["sig"] = hmac.new(_secret(stranger).encode(), said_by.encode(), hashlib.sha256).hexdigest().upper()
    return _at(json.dumps(whole).encode(), JSON)


def _der(number: int) -> str:
    public = EC_KEYS[number].public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _raw(number: int) -> str:
    return base64.b64encode(
        ED_KEYS[number].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    ).decode()


SHARED = {"webhook_secret": _secret(0)}
WHSEC = {"webhook_secret": "whsec_" + base64.b64encode(_secret(0).encode()).decode()}
VOICES = [
    Voice("postmark", SHARED, postmark, signs_body=False, signs_time=False),
    Voice("sendgrid", {"webhook_public_key": _der(0)}, sendgrid),
    Voice("resend", WHSEC, resend),
    Voice("mailgun", SHARED, mailgun, signs_body=False),
    Voice("twilio", {"auth_token": _secret(0)}, twilio, signs_time=False),
    Voice("telnyx", {"webhook_public_key": _raw(0)}, telnyx),
    Voice("vonage", SHARED, vonage),
]
BY_KIND = {voice.kind: voice for voice in VOICES}


@dataclass(frozen=True)
class Recorded:
    """A payload as the vendor's page prints it, with our key and made-up persons, and what it says."""

    kind: str
    name: str
    body: Any
    says: Sequence[Mapping[str, Any]]

    def shows(self, happening: Happening, expected: Mapping[str, Any]) -> bool:
        """Does a happening say what it should? What is not named does not count."""
        return all(_plain(getattr(happening, name)) == value for name, value in expected.items())


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return "now" if value == NOW else value.isoformat()
    return value


@cache
def recorded(kind: str) -> list[Recorded]:
    found = json.loads((Path(__file__).parent / "recorded" / f"{kind}.json").read_text())
    return [Recorded(kind, each["name"], each["body"], each["says"]) for each in found]


ALL = [each for voice in VOICES for each in recorded(voice.kind)]
