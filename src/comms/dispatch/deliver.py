"""From claimed to recorded: decide, render, freeze, wait for the instant, hand over, record.

No transaction and no connection is held while a provider thinks: a slow one would otherwise
use them all up. Between the commit of `freeze` and the record lies the only stretch in which
a dead worker leaves a doubt; everything fallible happens before it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog

from comms.actions import devices
from comms.actions.house import House
from comms.actions.setup import Account
from comms.dispatch.accounts import Accounts
from comms.dispatch.instants import Instants
from comms.dispatch.record import Recorder
from comms.dispatch.work import Answer, Delivery, Work
from comms.domain.content import Plain, Rendered, Sealed
from comms.domain.decision import Facts, decide
from comms.gather import Gather
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, Sender, TryLater
from comms.store import queue

log = structlog.get_logger()


class Unprepared(NamedTuple):
    """A claim that could not be opened, decided or rendered."""

    claim: asyncpg.Record
    lease_ends: float


class Pipeline:
    """Delivers what a worker claimed. One a worker; all state is in the work that passes through."""

    def __init__(
        self, house: House, owner: UUID, accounts: Accounts, instants: Instants, recorder: Recorder
    ) -> None:
        self._house = house
        self._owner = owner
        self._accounts = accounts
        self._instants = instants
        self._recorder = recorder
        self._call_seconds = house.settings.lease_seconds / 3
        self._freezing: Gather[queue.Mark, bool] = Gather(self._freeze_group, largest=100)

    async def run(self, claims: list[asyncpg.Record], lease_ends: float) -> None:
        """Deliver a batch. Each message ends on its own; one that can't be read harms no other."""
        await self._house.setup.refresh()
        frozen = await self._frozen(claims)
        prepared = [await self._prepare(claim, lease_ends, frozen.get(claim["id"], [])) for claim in claims]
        await asyncio.gather(*(self._finish(work) for work in prepared))

    async def _finish(self, work: Work | Unprepared) -> None:
        if isinstance(work, Unprepared):
            await self._recorder.put_back(work.claim, work.lease_ends)
            return
        if work.verdict.verdict == "send":
            await self._hand_over(work)
        await self._recorder.record(work)

    async def _prepare(
        self, claim: asyncpg.Record, lease_ends: float, frozen: list[asyncpg.Record]
    ) -> Work | Unprepared:
        """Open, decide, render. What can't be prepared is put back: it may be our fault, not its own."""
        try:
            work = await self._open(claim, lease_ends)
            if work.verdict.verdict == "send":
                await self._add_deliveries(work, frozen)
            return work
        except Exception as error:  # noqa: BLE001 - one message must never stop the others of its batch
            log.error("not_prepared", message_id=str(claim["id"]), problem=type(error).__name__)
            return Unprepared(claim, lease_ends)

    async def _open(self, claim: asyncpg.Record, lease_ends: float) -> Work:
        setup = self._house.setup
        brand = await setup.brand(claim["brand_id"])
        template = await setup.template_by_id(claim["template_id"])
        if brand is None or template is None:
            raise LookupError
        person_id, recipient, _ = msgspec.json.decode(
            brand.cipher.open(Sealed(claim["address"]), claim["id"], "address")
        )
        route = await setup.route(brand, claim["channel"], hipaa=claim["hipaa"])
        facts = Facts(self._now(claim), claim["deadline"], len(route), claim["hipaa"])
        return Work(
            claim=claim,
            brand=brand,
            person_id=person_id,
            recipient=recipient,
            route=route,
            category=template["category"],
            on_unknown=template["on_unknown"],
            facts=facts,
            verdict=decide(facts),
            lease_ends=lease_ends,
        )

    def _now(self, claim: asyncpg.Record) -> datetime:
        """The database's clock, as the claim saw it; a message claimed ahead is judged at its instant."""
        now, due_at = self._house.clock.sql_now() or claim["clock"], claim["due_at"]
        judged: datetime = max(now, due_at)
        return judged

    async def _add_deliveries(self, work: Work, frozen: list[asyncpg.Record]) -> None:
        """What is handed over: as an earlier attempt froze it, else rendered now."""
        if frozen:
            work.earlier = [_answered(row) for row in frozen if _is_over(work, row)]
            work.deliveries = [_thaw(work, row) for row in frozen if not _is_over(work, row)]
            return
        variables = msgspec.json.decode(
            work.brand.cipher.open(Sealed(work.claim["variables"]), work.id, "variables")
        )
        version = await self._house.setup.version(work.claim["version_id"])
        content = version.render(variables)
        recipients = [work.recipient]
        if work.claim["channel"] == "push":
            recipients = await devices.tokens(self._house, work.brand, work.person_id, work.recipient)
        work.deliveries = [_freeze(work, n, each, content) for n, each in enumerate(recipients)]

    async def _hand_over(self, work: Work) -> None:
        """Freeze, wait for the instant, check the fence, call."""
        first = work.route[0]
        ours = await asyncio.gather(*(self._mark(work, each, first) for each in work.deliveries))
        await self._instants.reach(work.due_at)
        await asyncio.gather(
            *(self._call(work, each) for each, still in zip(work.deliveries, ours, strict=True) if still)
        )

    async def _mark(self, work: Work, delivery: Delivery, account: Account) -> bool:
        """Written before each provider is called: what is found of a dead worker is whom it was calling."""
        return await self._freezing.submit(
            queue.Mark(
                work.claim["bucket"],
                work.id,
                delivery.n,
                account.provider_id,
                Sealed(delivery.payload),
                work.attempt,
            )
        )

    async def _call(self, work: Work, delivery: Delivery) -> None:
        """Along the route until one provider is not misconfigured."""
        for account in work.route:
            if account is not work.route[0] and not await self._mark(work, delivery, account):
                return
            if self._house.clock.monotonic() + self._call_seconds > work.lease_ends:
                return  # a pause ate the lease: another worker may act, so this one must not
            delivery.account = account
            delivery.outcome = await self._ask(work, delivery, account)
            if not isinstance(delivery.outcome, Misconfigured):
                return
            log.error(
                "provider_misconfigured", provider_id=account.provider_id, reason=delivery.outcome.reason
            )

    async def _ask(self, work: Work, delivery: Delivery, account: Account) -> Outcome:
        try:
            provider = self._accounts.provider(account)
        except Exception as error:  # noqa: BLE001 - what was valid when it was stored need not stay so: a certificate ends
            log.error("provider_not_built", provider_id=account.provider_id, problem=type(error).__name__)
            return Misconfigured("settings_refused")
        try:
            async with asyncio.timeout(self._call_seconds):
                outcome = await provider.send(_outgoing(work, delivery, account))
        except TimeoutError:
            outcome = Lost("timeout")
        except Exception as error:  # noqa: BLE001 - an adapter's fault: whether it was taken, nobody knows
            log.error("provider_fault", provider_id=account.provider_id, problem=type(error).__name__)
            outcome = Lost("adapter_fault")
        if isinstance(outcome, Lost) and provider.idempotent:
            return TryLater(outcome.reason)  # asked again with the same key: never a second message
        return outcome

    async def _frozen(self, claims: list[asyncpg.Record]) -> dict[UUID, list[asyncpg.Record]]:
        again = [(claim["bucket"], claim["id"]) for claim in claims if claim["attempt"] > 1]
        found: dict[UUID, list[asyncpg.Record]] = {}
        if again:
            for row in await queue.frozen(self._house.database.engine, again):
                found.setdefault(row["message_id"], []).append(row)
        return found

    async def _freeze_group(self, marks: list[queue.Mark]) -> list[bool | Exception]:
        ours = await queue.freeze(
            self._house.database.engine, self._owner, self._house.clock.sql_now(), marks
        )
        return [(mark.message_id, mark.n) in ours for mark in marks]


def _freeze(work: Work, n: int, recipient: str, content: Rendered) -> Delivery:
    plain = Plain(msgspec.json.encode({"recipient": recipient, "content": content}))
    return Delivery(n, recipient, content, work.brand.cipher.seal(plain, work.id, f"payload/{n}"))


def _is_over(work: Work, row: asyncpg.Record) -> bool:
    """An answer that was lost ends the delivery, unless the template prefers a duplicate to silence."""
    lost = row["outcome"] == "lost" and work.on_unknown == "prefer_silence"
    return lost or row["outcome"] in {"accepted", "rejected"}


def _answered(row: asyncpg.Record) -> Answer:
    reason = row["reason"] or ""
    outcome: Outcome = Lost(reason)
    if row["outcome"] != "lost":
        outcome = Accepted(row["reference"]) if row["outcome"] == "accepted" else Rejected(reason)
    return Answer(outcome, row["provider_id"])


def _thaw(work: Work, row: asyncpg.Record) -> Delivery:
    plain = work.brand.cipher.open(Sealed(row["payload"]), work.id, f"payload/{row['n']}")
    kept = msgspec.json.decode(plain)
    return Delivery(row["n"], kept["recipient"], msgspec.convert(kept["content"], Rendered), row["payload"])


def _outgoing(work: Work, delivery: Delivery, account: Account) -> Outgoing:
    return Outgoing(
        message_id=work.id,
        key=f"{work.id}-{delivery.n}",
        brand_id=work.brand.brand_id,
        person_id=work.person_id,
        channel=work.claim["channel"],
        provider_id=account.provider_id,
        recipient=delivery.recipient,
        content=delivery.content,
        sender=_sender(work),
        category=work.category,
        hipaa=work.claim["hipaa"],
        attempt=work.attempt,
        lifetime=(work.facts.deadline - work.facts.now).total_seconds(),
    )


def _sender(work: Work) -> Sender:
    senders = work.brand.settings.senders
    if work.claim["channel"] == "email" and senders.email:
        return Sender(senders.email.address, senders.email.name, senders.email.reply_to)
    if work.claim["channel"] == "sms" and senders.sms:
        return Sender(number=senders.sms.number)
    return Sender()
