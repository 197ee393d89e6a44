"""Which provider of a route a message tries first, where they share the messages by weight.

Rendezvous hashing (Thaler and Ravishankar, 1998; by weights: Schindelhauer and Schomaker, 2005): each
provider draws a number for the message, and the best one has it. So a message draws the same provider at
every attempt and in every worker, nothing is stored, and where a weight changes or a provider goes, no
message moves but those that it gives or gets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from uuid import UUID


def drawn(names: Sequence[str], weights: Mapping[str, int], message_id: UUID) -> str | None:
    """The one of `names` whose turn it is; None where fewer than two of them have a weight."""
    weighed = [name for name in names if name in weights]
    if len(weighed) < 2:
        return None
    return max(weighed, key=lambda name: _score(name, weights[name], message_id))


def _score(name: str, weight: int, message_id: UUID) -> float:
    """Between nothing and infinity, so that the largest of several is each one's as often as it weighs."""
    digest = sha256(message_id.bytes + name.encode()).digest()
    return -weight / math.log((int.from_bytes(digest[:6]) + 1) / (2**48 + 2))
