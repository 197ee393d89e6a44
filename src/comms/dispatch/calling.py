"""One call of a provider: what it is told, how long it may take, and what is made of its silence."""

from __future__ import annotations

import asyncio

import structlog

from comms.actions.house import House
from comms.actions.setup import Account
from comms.actions.webhooks import events_url
from comms.dispatch.accounts import Accounts
from comms.dispatch.work import WORDS, Delivery, Work
from comms.providers.base import Lost, Misconfigured, Outcome, Outgoing, Provider, Sender

log = structlog.get_logger()

_OWN_SHARE = 0.8
"""Of the time for a call, what the provider is told: it knows how far it got, so it should say."""


class Calling:
    """Of one worker."""

    def __init__(self, house: House, accounts: Accounts) -> None:
        self._house = house
        self._accounts = accounts
        self._call_seconds = house.settings.lease_seconds / 3

    async def ask(self, work: Work, delivery: Delivery, account: Account) -> Outcome:
        """Hand the delivery over. Never raises."""
        try:
            provider = self._accounts.provider(account)
        except Exception as error:  # noqa: BLE001 - what was valid when it was stored need not stay so: a certificate ends
            log.error("provider_not_built", provider_id=account.provider_id, problem=type(error).__name__)
            return Misconfigured("settings_refused")
        with work.handing.part("call", calls=True) as part:
            outcome = await self._call(work, delivery, account, provider)
            part.note(
                provider_id=account.provider_id, provider_kind=account.kind, outcome=WORDS[type(outcome)]
            )
        return outcome

    async def _call(self, work: Work, delivery: Delivery, account: Account, provider: Provider) -> Outcome:
        asked = self._house.clock.monotonic()
        try:
            async with asyncio.timeout(self._call_seconds):
                return await provider.send(self._outgoing(work, delivery, account))
        except TimeoutError:
            return Lost("timeout")
        except Exception as error:  # noqa: BLE001 - an adapter's fault: whether it was taken, nobody knows
            log.error("provider_fault", provider_id=account.provider_id, problem=type(error).__name__)
            return Lost("adapter_fault")
        finally:
            took = self._house.clock.monotonic() - asked
            self._house.metrics.provider.add(took, account.provider_id)

    def _outgoing(self, work: Work, delivery: Delivery, account: Account) -> Outgoing:
        return Outgoing(
            message_id=work.id,
            key=f"{work.id}-{delivery.n}",
            brand_id=work.brand.brand_id,
            person_id=work.person_id,
            channel=work.claim.channel,
            provider_id=account.provider_id,
            recipient=delivery.recipient,
            content=delivery.content,
            sender=_sender(work),
            category=work.category,
            hipaa=work.claim.hipaa,
            attempt=work.tries,
            lifetime=(work.facts.deadline - work.facts.now).total_seconds(),
            seconds=self._call_seconds * _OWN_SHARE,
            device=delivery.device,
            seal=lambda plain, field: work.person.seal(plain, work.id, field),
            events_url=events_url(self._house.settings, account.provider_id),
        )


def _sender(work: Work) -> Sender:
    senders = work.brand.settings.senders
    if work.claim.channel == "email" and senders.email:
        return Sender(senders.email.address, senders.email.name, senders.email.reply_to)
    if work.claim.channel == "sms" and senders.sms:
        return Sender(number=senders.sms.number)
    return Sender()
