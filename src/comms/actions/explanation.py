"""Why a message went, or did not: the last decision with its facts, and proof that they give that verdict."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.facts import place
from comms.actions.house import House
from comms.actions.setup import Brand
from comms.domain.content import Sealed
from comms.domain.decision import decide
from comms.domain.errors import Refused
from comms.domain.explanation import Fact, in_words, read
from comms.domain.options import Kept
from comms.domain.otherwise import otherwise
from comms.domain.schedule import show
from comms.privacy.cipher import PersonCipher
from comms.store import explanation as rows

_UNREADABLE = (KeyError, TypeError, ValueError)
"""What facts that were tampered with bring about; msgspec's own error is a ValueError."""


_AHEAD = {"scheduled", "sending"}
_CANCELLATIONS = {
    None: ("It was cancelled by a call, before any provider had it.", "it had not been cancelled"),
    "person_erased": (
        "Its person was erased before any provider had it.",
        "the person had not been erased",
    ),
}
"""By a message's failure_reason: what ended it, and what would have had to be otherwise."""


async def explain(house: House, row: asyncpg.Record, options: Sealed | None) -> dict[str, Any]:
    """The message's last decision with its facts; in words, too, and what would have had to be otherwise."""
    if row["cancelled_at"] and row["failure_reason"] in _CANCELLATIONS:
        return _cancelled(row)
    if row["failure_reason"] == "may_have_been_sent":
        why = "It was given up when sending was resumed after a restore, since it may have been sent before."
        raise Refused(404, "not_decided", why)
    if row["decision"] is None and row["outcome"] and not row["address"]:
        raise Refused(
            404, "erased", "The brand's retention has erased what the message said, and why it went."
        )
    if row["decision"] is None:
        nothing = "Nothing was decided yet" if row["status"] in _AHEAD else "No decision was kept"
        raise Refused(404, "not_decided", f"{nothing}: the message is {row['status']}.")
    decision = dict(row["decision"])
    conditions = otherwise(read(decision["decided_at"], decision["facts"]))
    brand = await house.setup.require_brand(row["brand_id"])
    person = await house.keys.one(brand, row["person_hash"])
    guards = _guards(brand, person, row["id"], options)
    decision["facts"] = [*_named(decision["facts"], guards), *_outcome(row)]
    until = {"until": decision.pop("until")} if "until" in decision else {}
    details = {"because": in_words(decision["facts"]), "otherwise": conditions, **until}
    return {**decision, "details": details}


class Verified(NamedTuple):
    """How many stored verdicts follow from their facts, and the messages whose do not."""

    matching: int
    differing: list[UUID]


async def verify(house: House) -> Verified:
    """Judge every stored decision again by its own facts."""
    matching, differing = 0, []
    async for row in rows.decided(house.database.owner):
        if follows(row["decision"]):
            matching += 1
        else:
            differing.append(row["id"])
    return Verified(matching, differing)


def follows(decision: dict[str, Any]) -> bool:
    """Do its facts give its verdict?"""
    try:
        again = decide(read(decision["decided_at"], decision["facts"])).words()
        return all(again.get(name) == decision.get(name) for name in ("verdict", "rule", "until"))
    except _UNREADABLE:
        return False


def _cancelled(row: asyncpg.Record) -> dict[str, Any]:
    """That was not the judgement's doing, whatever it had said before."""
    at, rule = show(row["cancelled_at"]), row["failure_reason"] or "cancelled"
    reason, otherwise = _CANCELLATIONS[row["failure_reason"]]
    facts: list[Fact] = [{"kind": "cancelled", "id": str(row["id"]), "at": at}]
    return {
        "decided_at": at,
        "verdict": "cancel",
        "rule": rule,
        "reason": reason,
        "facts": facts,
        "details": {"because": in_words(facts), "otherwise": [otherwise]},
    }


def _guards(
    brand: Brand, person: PersonCipher, message_id: UUID, options: Sealed | None
) -> dict[str, tuple[str, str]]:
    """Name and wanted value of the facts that the message is sent for, by their ids; of the erased none."""
    if options is None or person.is_erased(options):
        return {}
    opened = msgspec.json.decode(person.open(options, message_id, "options"), type=Kept)
    return {str(place(brand.cipher, name).id): (name, value) for name, value in opened.send_if.items()}


def _named(facts: list[Fact], guards: dict[str, tuple[str, str]]) -> list[Fact]:
    """What is kept of a caller's fact are hashes; who may read the message may read what they stand for."""
    return [
        {**each, "name": guards[each["id"]][0], "wants": guards[each["id"]][1]}
        if each["kind"] == "guard" and each["id"] in guards
        else each
        for each in facts
    ]


def _outcome(row: asyncpg.Record) -> list[Fact]:
    """It was to be sent, and was not: that is for the provider to say."""
    if row["status"] not in {"failed", "unknown"}:
        return []
    says = row["failure_reason"] or "answer_lost"
    return [{"kind": "outcome", "id": str(row["id"]), "says": says}]
