"""Adapters against Prism, which answers as the vendors' own documents say, and refuses what those do not allow."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from comms.providers import catalogue
from comms.providers.base import Accepted, Misconfigured, Outcome, Rejected
from comms.providers.http import Http, Request
from tests.providers.contract import Case, tools
from tests.providers.peers import PACKAGES, needs_packages, node, said_by
from tests.providers.published import document
from tests.providers.vendor_cases import RESEND, SENDGRID, TELNYX, TWILIO, VONAGE

pytestmark = pytest.mark.anyio

PUBLISHED = {
    "resend": ("resend/resend.yaml", "/emails"),
    "sendgrid": ("sendgrid/tsg_mail_v3.json", "/v3/mail/send"),
    "telnyx": ("telnyx/telnyx.com.json", "/messages"),
    "twilio": ("twilio/twilio_api_v2010.json", "/2010-04-01/Accounts/{AccountSid}/Messages.json"),
    "vonage": ("vonage/sms.yml", "/{format}"),
}
CASES = [RESEND, SENDGRID, TELNYX, TWILIO, VONAGE]


@cache
def only(kind: str) -> dict[str, Any]:
    """Of the vendor's document the one call that we make: the whole of Twilio's takes a second to read."""
    name, path = PUBLISHED[kind]
    whole = document(name)
    below = urlsplit(whole["servers"][0]["url"]).path
    return {**whole, "servers": [{"url": "/"}], "paths": {below + path: whole["paths"][path]}, "webhooks": {}}


@pytest.fixture
async def prism(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Its addresses, by kind."""
    needs_packages()
    for kind in PUBLISHED:
        (tmp_path / f"{kind}.json").write_text(json.dumps(only(kind), default=str))
    files = {kind: str(tmp_path / f"{kind}.json") for kind in PUBLISHED}
    async with node("prism.mjs", str(PACKAGES), json.dumps(files)) as process:
        yield await said_by(process)


class Spoiling(Http):
    """Takes something out of each request on its way: a header, or a member of the body."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = {name.lower() for name in names}

    async def post(self, request: Request, seconds: float) -> Any:
        return await super().post(
            replace(request, headers=self._without(request.headers), body=self._spoilt(request)), seconds
        )

    def _without(self, members: Any) -> dict[str, Any]:
        return {name: value for name, value in dict(members).items() if name.lower() not in self._names}

    def _spoilt(self, request: Request) -> bytes:
        if request.headers["Content-Type"] == "application/json":
            return json.dumps(self._without(json.loads(request.body))).encode()
        return urlencode(self._without(parse_qsl(request.body.decode()))).encode()


async def outcome(case: Case, url: str, *without: str) -> Outcome:
    async with Spoiling(*without) as http:
        settings = {**case.settings, "base_url": url}
        provider = catalogue.build(case.kind, settings, dict(case.secrets), tools(http))
        return await provider.send(case.outgoing)


async def test_what_adapters_send_is_taken(prism: dict[str, str]) -> None:
    """The examples are the vendors'. SendGrid's has no id: that stands in a header, which it does not describe."""
    found = {case.kind: await outcome(case, prism[case.kind]) for case in CASES}
    assert {kind: type(each) for kind, each in found.items()} == dict.fromkeys(PUBLISHED, Accepted)
    assert [kind for kind, each in found.items() if not getattr(each, "reference", None)] == ["sendgrid"]


async def test_what_vendors_do_not_allow_is_refused_as_they_say_it(prism: dict[str, str]) -> None:
    """Without a login it is our set-up; without a recipient it is this message that is wrong."""
    for case in CASES:
        login = ["authorization", "api_key"]
        if case is not VONAGE:  # whose login stands among the message's members
            assert isinstance(await outcome(case, prism[case.kind], *login), Misconfigured), case.kind
        found = await outcome(case, prism[case.kind], "to", "personalizations")
        assert isinstance(found, Rejected), case.kind
        assert not found.bad_recipient
