"""What passes through the pipeline: a claimed message, and what one attempt made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from comms.actions.setup import Account, Brand
from comms.domain.content import Rendered
from comms.domain.decision import Facts, Verdict
from comms.domain.schedule import show
from comms.providers.base import Outcome


class Answer(NamedTuple):
    """What a provider said to one delivery."""

    outcome: Outcome
    provider_id: str


@dataclass(slots=True)
class Delivery:
    """One hand-over: to the recipient, or to one of the person's devices."""

    n: int
    recipient: str
    content: Rendered
    payload: bytes
    account: Account | None = None
    outcome: Outcome | None = None


@dataclass(slots=True)
class Work:
    """One claimed message on its way through the pipeline."""

    claim: asyncpg.Record
    brand: Brand
    person_id: str
    recipient: str
    route: list[Account]
    category: str
    on_unknown: str
    facts: Facts
    verdict: Verdict
    lease_ends: float
    """On the monotonic clock: after this moment the message may be somebody else's."""
    deliveries: list[Delivery] = field(default_factory=list)
    """What this attempt hands over."""
    earlier: list[Answer] = field(default_factory=list)
    """What earlier attempts brought to an end."""

    @property
    def id(self) -> UUID:
        """The message's id."""
        message_id: UUID = self.claim["id"]
        return message_id

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        attempt: int = self.claim["attempt"]
        return attempt

    @property
    def due_at(self) -> datetime:
        """The instant before which nothing is handed over."""
        due_at: datetime = self.claim["due_at"]
        return due_at

    def answers(self) -> list[Answer]:
        """All that providers said to this message's deliveries, now and before."""
        now = [Answer(each.outcome, each.account.provider_id) for each in self.deliveries
               if each.outcome is not None and each.account is not None]  # fmt: skip
        return [*self.earlier, *now]

    def decision(self) -> dict[str, Any]:
        """The verdict with its facts, as it is kept."""
        facts = [
            {"kind": "lateness", "id": str(self.id), "deadline": show(self.facts.deadline)},
            {"kind": "route", "id": self.brand.brand_id, "usable_providers": self.facts.usable_providers,
             "hipaa": self.facts.hipaa},
        ]  # fmt: skip
        return {
            "decided_at": show(self.facts.now),
            "verdict": self.verdict.verdict,
            "rule": self.verdict.rule,
            "reason": self.verdict.reason,
            "facts": facts,
        }
