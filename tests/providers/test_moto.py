"""SES and SNS against moto, whose server checks each signature with Amazon's own code and refuses as they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from comms.providers import catalogue
from comms.providers.base import Accepted, Misconfigured, Outcome, Rejected, Sender
from comms.providers.events import Event, Happening, Inbound, Incoming
from comms.providers.webhooks import Webhooks
from tests.providers.amazon import REGION, Amazon, AtAmazons, moto
from tests.providers.contract import ADDRESS, KEY, Case, account
from tests.providers.test_amazon_events import ANSWER, BOUNCE, MAIL
from tests.providers.vendor_cases import SES, SNS
from tests.providers.vendor_server import Said, VendorServer, vendor

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def amazon() -> Iterator[Amazon]:
    with moto() as running:
        yield running


def at(amazon: Amazon, case: Case, **changes: Any) -> Case:
    """The case's account, at the tests' Amazon."""
    settings = {name: value for name, value in case.settings.items() if name != "configuration_set_name"}
    return replace(case, settings={**settings, "region": REGION}, secrets=amazon.secrets | changes)


async def sent(amazon: Amazon, case: Case, secrets: dict[str, str] | None = None, **changes: Any) -> Outcome:
    async with account(at(amazon, case, **(secrets or {})), amazon.url) as provider:
        return await provider.send(replace(case.outgoing, **changes))


@pytest.mark.parametrize("case", [SES, SNS], ids=["ses", "sns"])
async def test_what_is_signed_is_taken(amazon: Amazon, case: Case) -> None:
    outcome = await sent(amazon, case)
    assert isinstance(outcome, Accepted)
    assert outcome.reference


async def test_a_mail_reaches_the_one_whom_it_is_for(amazon: Amazon) -> None:
    before = amazon.client("ses").get_send_quota()["SentLast24Hours"]
    assert isinstance(await sent(amazon, SES, recipient="ada@bücher.example"), Accepted)
    assert amazon.client("ses").get_send_quota()["SentLast24Hours"] == before + 1


async def test_a_sender_that_is_not_verified_is_our_set_up(amazon: Amazon) -> None:
    outcome = await sent(amazon, SES, sender=Sender("care@stranger.test"))
    assert outcome == Misconfigured("ses_not_verified")


async def test_a_number_that_is_none_is_a_bad_recipient(amazon: Amazon) -> None:
    assert await sent(amazon, SNS, recipient="nobody") == Rejected("sns_number", bad_recipient=True)


@pytest.mark.parametrize("case", [SES, SNS], ids=["ses", "sns"])
@pytest.mark.parametrize("secret", ["access_key_id", "secret_access_key"])
async def test_a_wrong_key_is_our_set_up(amazon: Amazon, case: Case, secret: str) -> None:
    assert isinstance(await sent(amazon, case, {secret: "AKIDWRONG0000000000"}), Misconfigured)


async def test_the_machines_own_credentials_are_taken(
    amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in amazon.secrets.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    case = replace(at(amazon, SES), secrets={})
    async with account(case, amazon.url) as provider:
        assert isinstance(await provider.send(case.outgoing), Accepted)


@dataclass
class Subscribed:
    """A topic that posts to us."""

    arn: str
    sns: Any
    server: VendorServer

    async def publish(self, message: str) -> Incoming:
        """What the topic posts, as it comes in."""
        await asyncio.to_thread(self.sns.publish, TopicArn=self.arn, Message=message)
        posted = self.server.asked[-1]
        return Incoming(self.server.url, posted.headers, posted.body, datetime.now(UTC))


@asynccontextmanager
async def topic(amazon: Amazon) -> AsyncIterator[Subscribed]:
    client = amazon.client("sns")
    arn = client.create_topic(Name="comms")["TopicArn"]
    async with vendor(Said(200, {})) as server:
        subscription = client.subscribe(TopicArn=arn, Protocol="http", Endpoint=server.url)
        yield Subscribed(arn, client, server)
        client.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


async def heard(amazon: Amazon, kind: str, message: str) -> Sequence[Happening]:
    """What a topic posts, read with the certificate that Amazon serves."""
    async with topic(amazon) as subscribed, AtAmazons(amazon.port) as http:
        settings: Any = listening(kind, subscribed.arn)
        parse = catalogue.KINDS[kind].parse_events
        assert parse is not None
        return await Webhooks(http).read(parse, settings, {}, await subscribed.publish(message))


def listening(kind: str, arn: str) -> object:
    return catalogue.KINDS[kind].settings(region=REGION, topic_arn=arn)


async def test_a_bounce_comes_back_signed(amazon: Amazon) -> None:
    [bounced] = await heard(
        amazon, "ses", json.dumps({"eventType": "Bounce", "mail": MAIL, "bounce": BOUNCE})
    )
    assert isinstance(bounced, Event)
    assert (bounced.event, bounced.for_good, bounced.key, bounced.recipient) == (
        "bounced",
        True,
        KEY,
        ADDRESS,
    )


async def test_a_persons_answer_comes_back_signed(amazon: Amazon) -> None:
    [answer] = await heard(amazon, "sns", json.dumps(ANSWER))
    assert isinstance(answer, Inbound)
    assert (answer.sender, answer.to, answer.text) == ("+14255550182", "+12125550101", "STOP")
