"""What would be sent, when, and why not."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from comms.http.shapes.common import Instant, Name


class Simulate(Struct, frozen=True, forbid_unknown_fields=True):
    """What waits is judged, each at its time, up to and with `until`: one person's messages, or all."""

    brand_id: Name
    until: Instant
    person_id: Name | UnsetType = UNSET


class Deferred(Struct, frozen=True):
    """What put a message off, by the `rule` of an explanation, and until when."""

    at: str
    until: str
    reason: str


class SimulatedDetails(Struct, frozen=True, omit_defaults=True):
    """`because`: the reason as a sentence; `otherwise`: all that would have to be otherwise for it to go.

    `until`: when a message that is still put off is looked at again; `deferred`: what put it off before.
    """

    because: str | UnsetType = UNSET
    otherwise: list[str] | UnsetType = UNSET
    until: str | UnsetType = UNSET
    deferred: list[Deferred] | UnsetType = UNSET


class Simulated(Struct, frozen=True, omit_defaults=True):
    """The verdict on one message, when it falls, and the rule that does not let it go."""

    message_id: str
    at: str
    verdict: Literal["send", "defer", "suppress", "expire", "wait"]
    reason: str | UnsetType = UNSET
    details: SimulatedDetails | UnsetType = UNSET


class SimulationDetails(Struct, frozen=True):
    """`until`: up to when the answer is complete. That is before what was asked for where too much waits."""

    until: str


class Simulation(Struct, frozen=True):
    """In the order of time."""

    data: list[Simulated]
    details: SimulationDetails
