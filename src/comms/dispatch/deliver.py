"""One message from claimed to recorded: open, decide, prepare, freeze, wait, hand over, record.

No transaction and no connection is held while a provider thinks: a slow one would otherwise use
them all up. Between the commit of `freeze` and the record lies the only stretch in which a dead
worker leaves a doubt; everything fallible happens before it. What fails before it is put back.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog

from comms.actions import addresses, devices, permission
from comms.actions.house import House
from comms.actions.recipients import addressed
from comms.actions.setup import Account, Brand
from comms.dispatch.accounts import Accounts
from comms.dispatch.admission import NO_SLOT, RESTS, Admission, Leave
from comms.dispatch.calling import Calling
from comms.dispatch.instants import Instants
from comms.dispatch.judge import Crowded, Judge
from comms.dispatch.marks import Handover, Marks
from comms.dispatch.record import Recorder
from comms.dispatch.ways import reaching, shared
from comms.dispatch.work import NOT_CALLED, WORDS, Attempt, Delivery, Work
from comms.domain.content import Plain, Rendered, Sealed
from comms.domain.outcome import Standing, goes_on, told
from comms.domain.permission import refusal
from comms.domain.recipient import PERSON
from comms.gather import Gather
from comms.privacy.cipher import PersonCipher
from comms.providers.base import Device, Misconfigured, TryLater
from comms.store import queue
from comms.store.database import AWAY
from comms.traces import Part

log = structlog.get_logger()

_NOTHING: dict[str, Any] = {"recipient": "", "content": {"subject": None, "body": ""}, "device": None}
"""What can be read of a payload whose person was erased."""


class _Call(NamedTuple):
    delivery: Delivery
    way: list[Account]


class Pipeline:
    """Delivers what a worker claimed. One a worker; all state is in the work that passes through."""

    def __init__(
        self,
        house: House,
        owner: UUID,
        accounts: Accounts,
        instants: Instants,
        recorder: Recorder,
        admission: Admission,
    ) -> None:
        self._house = house
        self._calling = Calling(house, accounts)
        self._instants = instants
        self._recorder = recorder
        self._admission = admission
        self._call_seconds = house.settings.lease_seconds / 3
        self.marks = self._marks = Marks(house, owner)
        self._earlier: Gather[tuple[int, UUID], list[asyncpg.Record]] = Gather(
            self._read_earlier, largest=100
        )
        self._keys: Gather[tuple[Brand, bytes], PersonCipher] = Gather(house.keys.each, largest=100)
        self._judge = Judge(house)

    async def deliver(self, claim: queue.Claim, lease_ends: float) -> None:
        """See one message through, whatever happens to others."""
        attempt = Attempt(claim, lease_ends)
        try:
            work = await self._prepare(attempt)
            calls = await self._calls(work)
            leave = await self._admit(work, calls)
        except Exception as error:  # noqa: BLE001 - nothing was begun: whatever it was, another attempt may do better
            log.error("not_prepared", message_id=str(claim.id), problem=type(error).__name__)
            with attempt.trace:
                attempt.trace.failed("not_prepared")
                await self._recorder.put_back(claim)
            return
        with work.trace:
            await self._see_through(work, calls, leave)

    async def _see_through(self, work: Work, calls: list[_Call], leave: Leave | None) -> None:
        """Hand over what is prepared, and record it."""
        try:
            with work.trace.part("hand over") as work.handing:
                if not await self._freeze(work, calls):
                    return
                await self._instants.reach(work.due_at)
                if calls:
                    self._house.metrics.lateness.add(max(0.0, -self._instants.until(work.due_at)))
                leaves = (leave, *[None] * len(calls))
                await asyncio.gather(*(self._call(work, *each) for each in zip(calls, leaves, strict=False)))
        finally:
            if leave:
                leave.slot.end()
        with work.trace.part("record"):
            await self._recorder.record(work)

    async def _prepare(self, attempt: Attempt) -> Work:
        """Open, decide, and make what is handed over: as an earlier attempt froze it, else rendered now."""
        await self._house.setup.refresh()
        claim, work = attempt.claim, await self._open(attempt)
        if claim.attempt > 1:
            frozen = await self._earlier.submit((claim.bucket, claim.id))
            work.deliveries = [await self._thaw(work, row) for row in frozen]
        if work.verdict.verdict == "send" and not work.deliveries:
            with work.trace.part("render"):
                work.deliveries = await self._render(work)
        return work

    async def _open(self, attempt: Attempt) -> Work:
        claim, setup = attempt.claim, self._house.setup
        brand = await setup.brand(claim.brand_id)
        template = await setup.template_by_id(claim.template_id)
        if brand is None or template is None:
            raise LookupError
        person = await self._keys.submit((brand, claim.person_hash))
        person_id, recipient, options, erased = addressed(person, claim.id, claim.address, claim.options)
        route = await setup.route(brand, claim.channel, hipaa=claim.hipaa, through=options.through)
        whom = (person_id, claim.channel, recipient)
        about = permission.Asked(brand, *whom, template["category"], options.send_if)
        # The database's clock, as the claim saw it; a message claimed ahead is judged at its instant.
        now = max(self._house.clock.sql_now() or claim.clock, claim.due_at)
        max_late = timedelta(seconds=template["max_late"])
        message = permission.Message(
            str(claim.id), now, claim.deadline, max_late, len(route), claim.hipaa, erased
        )
        attempt.trace = self._trace(claim, options.trace)
        with attempt.trace.part("decide") as part:
            judged = await self._judge.judge(about, message)
            part.note(verdict=judged.verdict.verdict)
        return Work(
            claim=claim,
            lease_ends=attempt.lease_ends,
            brand=brand,
            person=person,
            person_id=person_id,
            recipient=recipient,
            route=route,
            category=template["category"],
            on_unknown=template["on_unknown"],
            judged=judged,
            trace=attempt.trace,
        )

    def _trace(self, claim: queue.Claim, link: str | None) -> Part:
        """An attempt at what was traced when it was accepted; its claim began by the database's clock."""
        trace = self._house.traces.delivery(link)
        with trace.part("claim", since=claim.clock):
            trace.note(
                message_id=str(claim.id), brand_id=claim.brand_id, channel=claim.channel, attempt=claim.tries
            )
        return trace

    async def _thaw(self, work: Work, row: asyncpg.Record) -> Delivery:
        kept = _NOTHING
        if not work.facts.erased:
            plain = work.person.open(Sealed(row["payload"]), work.id, f"payload/{row['n']}")
            kept = msgspec.json.decode(plain)
        account = await self._house.setup.account(row["provider_id"])
        return Delivery(
            n=row["n"],
            recipient=kept["recipient"],
            content=msgspec.convert(kept["content"], Rendered),
            payload=row["payload"],
            device=msgspec.convert(kept["device"], Device | None),
            answer=told(row["outcome"], row["doubts"], row["heard"]),
            reason=row["reason"],
            doubts=row["doubts"],
            provider_id=row["provider_id"],
            may_ask=account is not None and _carries(account, work) and account.may_be_asked_again(work.span),
        )

    async def _render(self, work: Work) -> list[Delivery]:
        variables = msgspec.json.decode(work.person.open(work.claim.variables, work.id, "variables"))
        version = await self._house.setup.version(work.claim.version_id)
        reader = addresses.Reader(work.person_id, work.claim.channel, work.category)
        made = version.render(addresses.filled(self._house, work.brand, version, reader, variables, work.id))
        content = replace(made, unsubscribe_url=addresses.one_click(self._house, work.brand, reader))
        if work.claim.channel != "push":
            return [_new_delivery(work, 0, work.recipient, content, None)]
        found = await devices.reached(self._house, work.brand, work.person_id, work.recipient)
        found = await self._unsuppressed(work, found) if work.recipient == PERSON else found
        return [_new_delivery(work, n, each.token, content, each) for n, each in enumerate(found)]

    async def _unsuppressed(self, work: Work, found: list[Device]) -> list[Device]:
        """A person's devices but those that are suppressed; where all are, the message ends as theirs do."""
        about, message = work.judged.about, work.judged.message
        judged = await asyncio.gather(
            *(self._judge.judge(about._replace(recipient=each.token), message) for each in found)
        )
        free = [
            each for each, knows in zip(found, judged, strict=True) if refusal(knows.facts.permission) is None
        ]
        if found and not free:
            work.judged = judged[0]
        return free

    async def _calls(self, work: Work) -> list[_Call]:
        """What this attempt hands over, and along which way."""
        if work.verdict.verdict != "send":
            return []
        calls = [_Call(each, await self._way(work, each)) for each in work.deliveries]
        for each, way in calls:
            if not way and goes_on(work.standing(each)):
                each.unreached()
        return [call for call in calls if call.way]

    async def _way(self, work: Work, delivery: Delivery) -> list[Account]:
        """Whom to call, in order: the route, or only the provider that may have taken it already."""
        stands = work.standing(delivery)
        if stands is Standing.ASK:
            account = await self._house.setup.account(delivery.provider_id or "")
            return [account] if account else []
        if not goes_on(stands):
            return []
        return list(shared(reaching(work.route, delivery.device), work.brand, work.claim.channel, work.id))

    async def _admit(self, work: Work, calls: list[_Call]) -> Leave | None:
        """Leave for one call, the first from then on, before anything is marked; without it there are none.

        One call has to do: a message that waited for as many slots as it has devices would keep the first
        of them from others that do the same. Where a push service is ill, the others' devices do not wait.
        """
        for n, call in enumerate(calls):
            for at, account in enumerate(call.way):
                if leave := await self._admission.admit(work, account):
                    del call.way[:at]
                    calls.insert(0, calls.pop(n))
                    return leave
            if work.put_off == NO_SLOT:  # it was waited for already
                break
        calls.clear()
        return None

    async def _freeze(self, work: Work, calls: list[_Call]) -> bool:
        """Mark what will be handed over; False where the message is not ours any more."""
        if not calls:
            return True
        marks = [_mark(work, call.delivery, call.way[0]) for call in calls]
        try:
            while calls and self._has_time(work):
                with contextlib.suppress(Crowded):
                    return await self._marks.submit(Handover(marks, work.judged.place()))
                work.judged = await self._judge.again(work.judged)
                if work.verdict.verdict != "send":
                    calls.clear()
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("not_marked", message_id=str(work.id), problem=type(error).__name__)
        # Whether the mark was written nobody knows; that nothing was called, we do, and say so.
        for call in calls:
            call.delivery.ended(NOT_CALLED, call.way[0], work.span)
        calls.clear()
        return True

    async def _call(self, work: Work, call: _Call, leave: Leave | None) -> None:
        """Along the way until one provider has it, or may have it. Never raises: the answers so far count."""
        for account in call.way:
            leave = leave or await self._admission.admit(work, account)
            if leave is None:
                continue
            try:
                if not await self._hand_over(work, call, leave):
                    break
            finally:
                leave.slot.end()
            leave = None
        if call.delivery.outcome is None:
            call.delivery.ended(NOT_CALLED, call.way[0], work.span)

    async def _hand_over(self, work: Work, call: _Call, leave: Leave) -> bool:
        """To one provider; True where the next one may be asked: it was certainly not taken."""
        account = leave.account
        if account is not call.way[0] and not await self._mark_next(work, call.delivery, account):
            return False
        if not await leave.slot.begins(work.lease_ends - self._call_seconds):
            work.put_off = NO_SLOT
            return False
        if not self._has_time(work):
            return False
        if work.brand.brand_id in self._house.setup.held:  # nothing is awaited between here and the call
            work.is_held = True
            return False
        if leave.is_barred():
            work.put_off = RESTS
            return True
        outcome = await self._calling.ask(work, call.delivery, account)
        self._house.metrics.attempts.add(account.provider_id, WORDS[type(outcome)])
        call.delivery.ended(outcome, account, work.span)
        leave.heard(outcome)
        if isinstance(outcome, Misconfigured):
            log.error("provider_misconfigured", provider_id=account.provider_id, reason=outcome.reason)
        return isinstance(outcome, Misconfigured) or (
            isinstance(outcome, TryLater) and not outcome.of_message
        )

    async def _mark_next(self, work: Work, delivery: Delivery, account: Account) -> bool:
        """Written before each provider is called: what is found of a dead worker is whom it was calling."""
        try:
            return await self._marks.submit(Handover([_mark(work, delivery, account)]))
        except (*AWAY, asyncpg.PostgresError):
            return False

    def _has_time(self, work: Work) -> bool:
        """Does a whole call fit into what is left of the lease? Else another worker may act, and we not."""
        return self._house.clock.monotonic() + self._call_seconds <= work.lease_ends

    async def _read_earlier(self, messages: list[tuple[int, UUID]]) -> list[list[asyncpg.Record] | Exception]:
        found: dict[UUID, list[asyncpg.Record]] = {message_id: [] for _, message_id in messages}
        for row in await queue.frozen(self._house.database.engine, messages):
            found[row["message_id"]].append(row)
        return [found[message_id] for _, message_id in messages]


def _new_delivery(work: Work, n: int, recipient: str, content: Rendered, device: Device | None) -> Delivery:
    plain = Plain(msgspec.json.encode({"recipient": recipient, "content": content, "device": device}))
    return Delivery(n, recipient, content, work.person.seal(plain, work.id, f"payload/{n}"), device)


def _mark(work: Work, delivery: Delivery, account: Account) -> queue.Mark:
    key = (work.claim.bucket, work.id, delivery.n)
    return queue.Mark(*key, account.provider_id, delivery.payload, work.attempt)


def _carries(account: Account, work: Work) -> bool:
    return account.carries(work.brand.brand_id, work.claim.channel, hipaa=work.claim.hipaa)
