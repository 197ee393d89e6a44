"""What passes through the pipeline: a claimed message, and what one attempt makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from comms.actions.devices import identify
from comms.actions.setup import Account, Brand
from comms.dispatch.judge import Judged
from comms.dispatch.ways import reaching
from comms.domain.content import Rendered, Sealed
from comms.domain.decision import Facts, Verdict, decide
from comms.domain.explanation import kept
from comms.domain.outcome import Standing, standing
from comms.domain.schedule import show
from comms.domain.weights import drawn
from comms.privacy.cipher import PersonCipher
from comms.providers.base import Accepted, Device, Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.store import queue
from comms.traces import NOTHING, Part

WORDS: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Rejected: "rejected",
    TryLater: "try_later",
    Misconfigured: "misconfigured",
    Lost: "lost",
}
"""An outcome as it is stored."""

NOT_CALLED = TryLater("not_called")
"""What is recorded of a delivery that was marked, and then could not be handed over."""


class PutOff(NamedTuple):
    """Why nobody could be called, and for how many seconds; 0: the message keeps its place."""

    reason: str
    seconds: float


NO_PROVIDER = "no_provider_for_device"
"""Why a device was refused that no provider of the route speaks to."""


@dataclass(slots=True)
class Delivery:
    """One hand-over: to the recipient, or to one of the person's devices."""

    n: int
    recipient: str
    content: Rendered
    payload: Sealed
    device: Device | None = None
    answer: str | None = None
    """The last answer, as it is stored; None before any."""
    reason: str | None = None
    doubts: int = 0
    provider_id: str | None = None
    """Who gave the last answer, or owes it."""
    may_ask: bool = False
    """That provider may be asked again with the same key."""
    is_found_by_reference: bool = False
    """That provider's events will not name our key."""
    outcome: Outcome | None = None
    """What this attempt brought; None: it was not part of it."""
    after: float = 0.0
    """Seconds that a provider wants to be left alone, also where the next one was asked."""

    def unreached(self) -> None:
        """Nobody on the route speaks to such a device: refused, and nobody was asked."""
        self.outcome = Rejected(NO_PROVIDER)
        self.answer, self.reason = WORDS[Rejected], NO_PROVIDER

    def ended(self, outcome: Outcome, account: Account, span: timedelta) -> None:
        """Take what this attempt brought."""
        self.outcome, self.answer = outcome, WORDS[type(outcome)]
        self.reason = getattr(outcome, "reason", None)
        self.provider_id, self.may_ask = account.provider_id, account.may_be_asked_again(span)
        self.is_found_by_reference = not account.echoes_key
        self.doubts += isinstance(outcome, Lost)
        if isinstance(outcome, TryLater):
            self.after = max(self.after, outcome.after or 0.0)


@dataclass(slots=True)
class Attempt:
    """One claimed message before anything is known of it; with a trace once its options were opened."""

    claim: queue.Claim
    lease_ends: float
    """On the monotonic clock: after this moment the message may be somebody else's."""
    trace: Part = NOTHING


@dataclass(slots=True)
class Work:
    """One claimed message on its way through the pipeline."""

    claim: queue.Claim
    lease_ends: float
    """On the monotonic clock: after this moment the message may be somebody else's."""
    brand: Brand
    person: PersonCipher
    person_id: str
    recipient: str
    route: list[Account]
    category: str
    on_unknown: str
    judged: Judged
    deliveries: list[Delivery] = field(default_factory=list)
    is_held: bool = False
    """The brand was put on hold while this was under way."""
    put_off: PutOff | None = None
    """A provider that has no slot for it, or is ill, and no other on the route."""
    trace: Part = NOTHING
    handing: Part = NOTHING
    """The part of it in which the message is handed over."""

    @property
    def id(self) -> UUID:
        """The message's id."""
        return self.claim.id

    @property
    def facts(self) -> Facts:
        """What the verdict rests on."""
        return self.judged.facts

    @property
    def verdict(self) -> Verdict:
        """May it go?"""
        return self.judged.verdict

    @property
    def attempt(self) -> int:
        """The fence: counts claims from 1."""
        return self.claim.attempt

    @property
    def tries(self) -> int:
        """Attempts that count, from 1."""
        return self.claim.tries

    @property
    def was_not_called(self) -> bool:
        """Did this attempt come to nobody?"""
        return all(each.outcome in {None, NOT_CALLED} for each in self.deliveries)

    @property
    def due_at(self) -> datetime:
        """The instant before which nothing is handed over."""
        return self.claim.due_at

    @property
    def span(self) -> timedelta:
        """From the message's time to its deadline."""
        return self.facts.deadline - self.claim.scheduled_at

    def standing(self, delivery: Delivery) -> Standing:
        """Where one of the deliveries stands now."""
        prefers = self.on_unknown == "prefer_duplicate"
        return standing(
            delivery.answer, delivery.doubts, idempotent=delivery.may_ask, prefers_duplicate=prefers
        )

    def decision(self) -> dict[str, Any]:
        """The verdict with its facts, as it is kept."""
        facts, verdict = self.facts, self.verdict
        if self.is_held:
            facts = replace(facts, is_held=True)
            verdict = decide(facts)
        found = kept(facts, str(self.id), self.brand.brand_id, str(self.claim.template_id))
        found += [
            {"kind": "device", "id": str(identify(self.brand, each.recipient)), "says": NO_PROVIDER}
            for each in self.deliveries
            if each.reason == NO_PROVIDER
        ]
        found += self._shares()
        return {"decided_at": show(facts.now), **verdict.words(), "facts": found}

    def _shares(self) -> list[dict[str, Any]]:
        """Whose turn it was, where providers share the route by weight; a push may reach several kinds."""
        weights, found = self.brand.settings.weights(self.claim.channel), {}
        for each in self.deliveries if weights else ():
            names = [account.provider_id for account in reaching(self.route, each.device)]
            if first := drawn(names, weights, self.id):
                of = sum(weights.get(name, 0) for name in names)
                found[first] = {"kind": "share", "id": first, "weight": weights[first], "of": of}
        return list(found.values())
