"""Amazon as the tests know it: moto's server, which checks signatures with Amazon's own code, and signed notices."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.session import Session
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from comms.providers.events import Incoming
from comms.providers.http import Answer, Http
from tests.providers.peers import peer
from tests.providers.smtp_servers import free_port, running

REGION = "us-east-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:comms"
PEM_URL = f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-{'0a' * 16}.pem"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
_TO_SNS = f"AWS4-HMAC-SHA256 Credential=x/20300101/{REGION}/sns/aws4_request, SignedHeaders=host, Signature=x"
"""By this moto knows whom a request is for; Amazon goes by the host."""

ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Amazon:
    """A running moto; `secrets` are those of a user who may do everything."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.secrets: dict[str, str] = {"access_key_id": "root", "secret_access_key": "root"}
        iam = self.client("iam")
        iam.create_user(UserName="comms")
        iam.put_user_policy(UserName="comms", PolicyName="all", PolicyDocument=json.dumps(ALLOWED))
        key = iam.create_access_key(UserName="comms")["AccessKey"]
        self.secrets = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
        self._from_now_on_check_signatures()
        self.client("sesv2").create_email_identity(EmailIdentity="loop.test")

    def client(self, service: str) -> Any:
        """Amazon's own client, for all that a person would do on its console."""
        return Session().create_client(
            service,
            REGION,
            endpoint_url=self.url,
            aws_access_key_id=self.secrets["access_key_id"],
            aws_secret_access_key=self.secrets["secret_access_key"],
        )

    def _from_now_on_check_signatures(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        assert connection.getresponse().status == 200
        connection.close()


@contextlib.contextmanager
def moto() -> Iterator[Amazon]:
    """A server on a free port."""
    peer("moto")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with running(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, env=environment
    ):
        yield Amazon(port)


class AtAmazons(Http):
    """Reads what stands at an address of Amazon's where the tests' Amazon has it."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def get(self, url: str, seconds: float) -> Answer | None:
        path = url.removeprefix(f"https://sns.{REGION}.amazonaws.com")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        connection.request("GET", path, headers={"Authorization": _TO_SNS})
        said = connection.getresponse()
        answer = Answer(said.status, body=said.read())
        connection.close()
        return answer


class Notary:
    """Signs notices as SNS does, with a certificate of its own."""

    def __init__(self, begins: datetime = NOW - timedelta(days=1), *, with_rsa: bool = True) -> None:
        self._key = (
            rsa.generate_private_key(65537, 2048) if with_rsa else ec.generate_private_key(ec.SECP256R1())
        )
        self.pem = self.certificate(begins)

    def certificate(self, begins: datetime) -> bytes:
        """For thirty days."""
        name = Name([NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        builder = CertificateBuilder(name, name, self._key.public_key(), random_serial_number())
        dated = builder.not_valid_before(begins).not_valid_after(begins + timedelta(days=30))
        return dated.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def signed(self, version: str = "2", **changes: Any) -> dict[str, Any]:
        """A notification, with `changes` made before it is signed."""
        members = {
            "Type": "Notification",
            "MessageId": "da41e39f-ea4d-435a-b922-c6aae3915ebe",
            "TopicArn": TOPIC,
            "Message": '{"eventType": "None of ours"}',
            "Timestamp": "2030-01-01T11:59:00.000Z",
            "SignatureVersion": version,
            "SigningCertURL": PEM_URL,
            **changes,
        }
        names = sorted(
            members.keys()
            & {"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
        )
        text = "".join(f"{name}\n{members[name]}\n" for name in names).encode()
        digest = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = (
            self._key.sign(text, PKCS1v15(), digest) if isinstance(self._key, rsa.RSAPrivateKey) else b"-"
        )
        return {**members, "Signature": base64.b64encode(signature).decode()}

    def incoming(
        self, members: Mapping[str, Any] | bytes, *, documents: Mapping[str, bytes] | None = None
    ) -> Incoming:
        """A call that carries them, with the certificate read already."""
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        found = {PEM_URL: self.pem} if documents is None else documents
        return Incoming("https://comms.example/v1/webhooks/amazon", {}, body, NOW, found)
