"""The judgement on claimed messages, and the places that caps leave for them.

A cap is kept by the person's row: what is read with the other facts is written again with one more
message in it, in the transaction that marks the hand-over, and only by one who has seen what it says.
Of two messages that saw the same last place one gets it; the other is judged again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import msgspec

from comms.actions import permission
from comms.actions.house import House
from comms.actions.permission import Asked, Known, Message
from comms.domain.decision import Facts, Verdict, decide
from comms.domain.ids import bucket_of_digest
from comms.domain.schedule import show
from comms.gather import Gather
from comms.store import caps as rows
from comms.store.database import Connection


class Crowded(Exception):
    """What the person's caps rest on has changed since it was read. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A message, what is known of it, and the verdict."""

    about: Asked
    message: Message
    known: Known
    facts: Facts
    verdict: Verdict

    def place(self) -> rows.Reserved | None:
        """What is to be written before the message is handed over; None: no cap covers it."""
        if not self.facts.caps:
            return None
        sent = permission.with_this(self.about, self.known, self.facts, self.message.id)
        kept = [[each.id, show(each.at), each.channel, each.category] for each in sent]
        return rows.Reserved(*self._whose(), self.known.version, msgspec.json.encode(kept).decode())

    def given_back(self) -> rows.Released | None:
        """The same place, once it turns out that nobody has taken the message."""
        return rows.Released(*self._whose(), self.message.id) if self.facts.caps else None

    def _whose(self) -> tuple[int, str, bytes]:
        person = self.about.brand.person_hash(self.about.person_id)
        return bucket_of_digest(person), self.about.brand.brand_id, person


class Judge:
    """Judges messages, reading for many at once."""

    def __init__(self, house: House) -> None:
        self._known: Gather[Asked, Known] = Gather(partial(permission.known, house), largest=100)

    async def judge(self, about: Asked, message: Message) -> Judged:
        """By what is committed now."""
        known = await self._known.submit(about)
        facts = permission.facts(about, known, message)
        return Judged(about, message, known, facts, decide(facts))

    async def again(self, judged: Judged) -> Judged:
        """The same message, by what is committed since."""
        return await self.judge(judged.about, judged.message)


async def take(connection: Connection, places: list[rows.Reserved | None]) -> list[bool]:
    """Take those places, one a person at a time; who needs none has one."""
    first: dict[tuple[str, bytes], int] = {}
    for n, each in enumerate(places):
        if each:
            first.setdefault((each.brand_id, each.person_hash), n)
    wanted = [each for n in first.values() if (each := places[n])]
    got = await rows.reserve(connection, wanted) if wanted else set()
    winners = {n for whose, n in first.items() if whose in got}
    return [each is None or n in winners for n, each in enumerate(places)]
