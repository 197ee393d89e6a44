"""May this person be written to, on this channel, about this? Facts in, a refusal or nothing out.

The first rule that applies decides:

    the address is suppressed     hard_bounce, complaint and stop stop everything, manual and
                                  unsubscribe all that is not transactional
    the category is transactional it needs no consent, and no preference stops it
    there is no consent           no_consent
    the consent was withdrawn     opted_out
    the person switched it off    preference_off
    else                          it may be sent

The rules know no clock: what was committed when the facts were read is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TRANSACTIONAL = "transactional"
"""The category that answers something the person asked for, such as a reminder or a code."""

PublishedReason = Literal["hard_bounce", "complaint", "manual", "unsubscribe"]
"""What callers may suppress an address for."""

Reason = Literal[PublishedReason, "stop"]
"""And `stop`: the person has texted STOP. Carriers block what goes to the number from then on."""

ConsentReason = Literal["transactional_bypass", "opted_in", "no_consent_row", "opted_out"]

WEIGHT: tuple[Reason, ...] = ("hard_bounce", "complaint", "stop", "unsubscribe", "manual")
"""Suppressions from the weightiest on: the one that is shown where several stand."""

_STOPS_EVERYTHING = {"hard_bounce", "complaint", "stop"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A row that the judgement rests on, with what it said and since when (RFC 3339).

    `kind` and what it may say: consent (opted_in, opted_out), preference (enabled, disabled),
    suppression (its reason).
    """

    kind: str
    id: str
    says: str
    since: str

    def words(self) -> dict[str, str]:
        """As it is kept and shown."""
        return {"kind": self.kind, "id": self.id, "says": self.says, "since": self.since}


@dataclass(frozen=True, slots=True)
class Permission:
    """What is known of one person, address and category. At most one consent and one preference are in it."""

    category: str
    evidence: tuple[Evidence, ...] = ()

    def said(self, kind: str) -> list[str]:
        """What the rows of a kind say."""
        return [each.says for each in self.evidence if each.kind == kind]


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is the message's failure_reason, and what `send` answers; `sentence` says it to a person."""

    code: str
    sentence: str


_BY_CONSENT: dict[ConsentReason, Refusal] = {
    "no_consent_row": Refusal(
        "no_consent",
        "There is no consent of the person to this category on this channel.",
    ),
    "opted_out": Refusal("opted_out", "The person has withdrawn consent to this category on this channel."),
}
_BY_PREFERENCE = Refusal("preference_off", "The person has switched this category off on this channel.")
_BY_SUPPRESSION = {
    reason: Refusal(f"suppressed_{reason}", f"The address is suppressed ({reason}) and is not written to.")
    for reason in WEIGHT
}

CODES = tuple(refusal.code for refusal in (*_BY_CONSENT.values(), _BY_PREFERENCE, *_BY_SUPPRESSION.values()))
"""All that a refusal may be called."""


def refusal(known: Permission) -> Refusal | None:
    """Why such a message may not be sent; None: it may."""
    suppressed = [each for each in WEIGHT if each in known.said("suppression") and _stops(each, known)]
    if suppressed:
        return _BY_SUPPRESSION[suppressed[0]]
    said = known.said("consent")
    consent = consent_reason(known.category, said == ["opted_in"] if said else None)
    if consent in _BY_CONSENT:
        return _BY_CONSENT[consent]
    if consent != "transactional_bypass" and "disabled" in known.said("preference"):
        return _BY_PREFERENCE
    return None


def consent_reason(category: str, opted_in: bool | None) -> ConsentReason:  # noqa: FBT001 - a row's column: None is no row
    """What the person's consent says of the category."""
    if category == TRANSACTIONAL:
        return "transactional_bypass"
    if opted_in is None:
        return "no_consent_row"
    return "opted_in" if opted_in else "opted_out"


def _stops(reason: Reason, known: Permission) -> bool:
    return reason in _STOPS_EVERYTHING or known.category != TRANSACTIONAL
