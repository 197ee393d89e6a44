"""Who plants: callers who do what the document says, and callers who do not."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode

from tests.canaries.canary import Nest
from tests.canaries.filler import Filler, Operation, operations

CLEAR = {
    "put_brand", "put_provider", "create_template", "create_version", "list_templates", "list_versions", "add_subscription",
    "put_subscription", "remove_subscription", "hold_brand", "release_brand", "stream_inbox",
}  # fmt: skip
"""Set-up, which says nothing of persons and is kept in the clear: planted by hand, or where it is refused.
And one that does not end."""

OPEN = ("template_key", "category", "name", "kind", "app", "vendor_message_id", "type")
"""Names in requests that docs/privacy.md says are not sealed: callers' own words for things, not for persons."""

FORGED = '\n{"event": "forged", "level": "info", "timestamp": "2030-01-01T00:00:00Z"}\r\n'
"""A line of a log, for whoever would write a value there as it is."""

SECRET = "webhook-s3cr3t"


class Caller:
    """Asks, and keeps every answer that is no success: `refused` holds heads and bodies."""

    def __init__(self, address: str, token: str, nest: Nest, dice: random.Random) -> None:
        self.address, self.token, self.nest, self.dice = address, token, nest, dice
        self.answers: Counter[tuple[str, int]] = Counter()
        self.refused: list[bytes] = []
        self.ids: dict[str, list[str]] = {}
        """Of what was made, by the first words of its address."""

        self._persons: list[str] = []

    def as_meant(self) -> None:
        """Each call of the document, as it is meant."""
        for operation in operations():
            if operation.name not in CLEAR and operation.path not in {"/metrics", "/readyz", "/healthz"}:
                self._normal(operation)

    def as_not_meant(self) -> None:
        """Each, with what it does not want."""
        for operation in operations():
            if operation.name != "stream_inbox":
                self._hostile(operation)

    def _normal(self, operation: Operation) -> None:
        filler = Filler(self.dice, self._known(), lambda name: self.nest.lay(f"{operation.name}: {name}"))
        path = self._path(operation, filler)
        query = {
            name: filler.value(schema, name)
            for name, schema in operation.parameters("query")
            if name not in {"cursor", "status", "limit", "message_id", "actor", "action", "channel"}
        }
        headers = {"X-Brand-Id": "loop", "Prefer": "wait=0"}
        if operation.name == "receive_events":
            path, headers = "/v1/webhooks/mail", headers | _login()
        body = self._body(operation, filler)
        if operation.media == "application/x-ndjson":
            headers["Content-Type"] = "application/x-ndjson"
        self.ask(operation, path, query, body, headers)

    def _body(self, operation: Operation, filler: Filler) -> bytes | None:
        if operation.media is None:
            return None
        if operation.media == "*/*":
            bounced = self.nest.lay("body of a webhook")
            mail = {"RecordType": "Bounce", "Type": "HardBounce", "Email": f"{bounced}@example.org", "ID": 42,
                    "MessageID": bounced, "Description": bounced, "Details": bounced, "Content": bounced,
                    "Metadata": {"key": bounced}, "BouncedAt": datetime.now(UTC).isoformat(), "Subject": bounced}  # fmt: skip
            return json.dumps(mail).encode()
        made = filler.body(operation.body)
        if isinstance(made, dict) and "recipient" in made:
            made["recipient"] = self._recipient(made.get("channel", "sms"), operation)
        return json.dumps(made).encode() + b"\n"

    def _recipient(self, channel: str, operation: Operation) -> str:
        way = f"{operation.name}: recipient"
        if channel == "sms":
            return self.nest.number(way)
        tricks = ["", "", "", "reject", "flaky", "bounce"]
        name = self.nest.lay(way) + self.dice.choice(tricks)
        return f"{name}@example.org" if channel == "email" else name

    def _hostile(self, operation: Operation) -> None:
        """Malformed, misplaced, unknown: canaries in every place of a request."""
        lay = self.nest.lay
        filler = Filler(self.dice, {}, lambda name: lay(f"{operation.name}, hostile: {name}") + FORGED)
        body = json.dumps(
            filler.body(operation.body) if operation.media not in {None, "*/*"} else lay("a stray body")
        )
        spoilt = self.dice.choice([
            body[:-1], body + lay("after the end"), f'{{"{self.nest.name("an unknown member")}": 1}}', f'"{lay("a text for a body")}"',
            f"{lay('no JSON')}", f'{{"variables": {{"{lay("twice")}": 1, "x": "{lay("beside it")}", "x": 2}}}}', body,
        ])  # fmt: skip
        query = {
            self.nest.name("a name in a query"): 1,
            "brand_id": lay("a brand"),
            "cursor": lay("a cursor"),
            "person_id": lay("a person"),
        }
        forged = self.dice.random() < 0.5
        headers = {
            "X-Brand-Id": lay("X-Brand-Id"), "User-Agent": lay("User-Agent"), "Cookie": f"session={lay('Cookie')}",
            "Referer": f"https://example.org/{lay('Referer')}", "Prefer": lay("Prefer"), "X-Request-Id": lay("X-Request-Id"),
            "Idempotency-Key": lay("Idempotency-Key"), "Last-Event-ID": lay("Last-Event-ID"),
            "Content-Type": self.dice.choice(["application/json", lay("Content-Type")]),
            **({"Authorization": f"Bearer comms_{lay('a token')}"} if forged else {}),
            **{f"X-Signature-{each}": lay("a signature") for each in ("Twilio", "Svix")},
        }  # fmt: skip
        path = self._path(operation, filler)
        self.ask(operation, path, query, spoilt.encode(), headers)
        self.ask(
            operation,
            f"/{lay('an address')}",
            {},
            None,
            {},
            self.dice.choice(["GET", lay("a method").upper()]),
        )

    def _path(self, operation: Operation, filler: Filler) -> str:
        path = operation.path
        for name, schema in operation.parameters("path"):
            there = (
                self.ids.get(_kind(path), [])
                if operation.name not in CLEAR and name in {"id", "signed"}
                else []
            )
            given = self.dice.choice(there) if there else filler.value(schema, name)
            path = path.replace(f"{{{name}}}", quote(str(given), safe=""))
        return path

    def _known(self) -> dict[str, Any]:
        """What has to be there already, or of a form of its own."""
        now = datetime.now(UTC)
        mail = lambda: f"{self.nest.lay('an address of e-mail')}@example.org"  # noqa: E731
        return {
            **{name: lambda: "visit" for name in OPEN},
            "brand_id": lambda: "loop", "type": lambda: "bounce", "cursor": lambda: None, "locale": lambda: "de",
            "timezone": lambda: "Europe/Berlin", "hipaa": lambda: False, "limit": lambda: 5, "variables": self._variables,
            "payload": self._variables, "version_id": lambda: None, "options": self._options,
            "scheduled_at": (now + timedelta(seconds=self.dice.choice([-1, 0.2, 3600]))).isoformat,
            "from": (now - timedelta(hours=1)).isoformat, "to": now.isoformat,
            "until": (now + timedelta(days=1)).isoformat, "changed_at": now.isoformat, "suppressed_at": now.isoformat,
            "number": lambda: self.nest.number("a suppressed number"), "email": mail, "recipient_email": mail,
            "address_or_id": mail, "status": lambda: None, "message_id": lambda: None, "expires_in": lambda: 600,
            "person_id": self._person, "patient_id": self._person, "patientId": self._person, "user_id": self._person,
            "id": lambda: self.dice.choice(self.ids.get("/v1/devices", ["01a20a31-cbed-7914-bfa9-4f22b6fa28e7"])),
            "endpoint": lambda: f"https://push.example.com/{self.nest.lay('an endpoint')}",
            "p256dh": lambda: _P256, "auth": lambda: "BTBZMqHH6r4Tts7J_aSIgg",
            "url": lambda: f"https://example.org/{self.nest.lay('a link')}", "signed": lambda: self.nest.lay("a signed address"),
        }  # fmt: skip

    def _person(self) -> str:
        """Somebody new, or somebody of whom there is something already."""
        if not self._persons or self.dice.random() < 0.3:
            self._persons.append(self.nest.lay("a person"))
        return self.dice.choice(self._persons[-5:])

    def _variables(self) -> dict[str, Any]:
        lay = self.nest.lay
        return {
            "name": lay("variables"),
            lay("a variable's name"): [lay("a list"), {"deep": lay("deep inside")}],
        }

    def _options(self) -> dict[str, Any]:
        return {"subject": self.nest.lay("options: subject")}

    def ask(
        self, operation: Operation, path: str, query: dict[str, Any], body: bytes | None, headers: dict[str, str],
        method: str | None = None,
    ) -> None:  # fmt: skip
        """One request; a refusal is kept. A service that is away for a moment has said nothing."""
        asked = f"{path}?{urlencode({name: value for name, value in query.items() if value is not None})}"
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        with suppress(OSError, HTTPException):
            connection = HTTPConnection(self.address, timeout=20)
            connection.request(method or operation.method, asked, body, sent)
            self._keep(operation, connection.getresponse())
            connection.close()

    def _keep(self, operation: Operation, answer: HTTPResponse) -> None:
        said = answer.read()
        self.answers[operation.name, answer.status] += 1
        if answer.status >= 400:
            self.refused.append(str(answer.headers).encode() + said)
        else:
            self.refused.append(str(answer.headers).encode())
            with suppress(ValueError, AttributeError):
                told = json.loads(said)
                for name in ("id", "message_id"):
                    if given := told.get(name):
                        self.ids.setdefault(_kind(operation.path), []).append(given)
                if link := told.get("url"):
                    self.ids.setdefault("/p", []).append(link.rpartition("/")[2])


def _kind(path: str) -> str:
    """The first words of an address: what an id is the id of."""
    path = path.replace("/admin/", "/")
    return "/".join(path.split("/")[: 3 if path.startswith("/v1/") else 2])


def _login() -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'comms:{SECRET}'.encode()).decode()}"}


_P256 = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
"""The user agent's public key in RFC 8291, section 5."""
