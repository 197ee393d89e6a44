"""How many requests a token may make, and all of a brand's: counted in this process, without a statement.

Several processes each count for themselves: so many times the limit is what all of them let through. A
count that they shared would cost each request a round trip, to protect them from what costs less.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from comms.actions.setup import Setup
from comms.clock import Clock
from comms.domain.caller import ANY, Caller
from comms.domain.errors import Refused
from comms.domain.rate import WINDOW, Policy, Taken, take
from comms.settings import Settings

_KEPT = 50_000
"""Callers of whom something is remembered; of who was silent for a window there is nothing to remember."""


class Rates:
    """The counts of one process."""

    def __init__(self, setup: Setup, clock: Clock, settings: Settings) -> None:
        self._setup = setup
        self._clock = clock
        self._token = _policy("token", settings.token_requests_per_second)
        self._brand = _policy("brand", settings.brand_requests_per_second)
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    async def admit(self, caller: Caller) -> dict[str, str]:
        """Count a request of this token, and of the brand that it is bound to; what an answer says of it.

        429 `rate_limited` where it is one too many; that one counts against neither.
        """
        limits: list[tuple[Policy, Hashable]] = []
        if self._token is not None:
            limits.append((self._token, (caller.brand_id, caller.actor, caller.person_id)))
        if caller.brand_id != ANY and (policy := await self._of_brand(caller.brand_id)):
            limits.append((policy, caller.brand_id))
        return self._take(limits) if limits else {}

    async def admit_for(self, brand_id: object, said: dict[str, str]) -> dict[str, str]:
        """Count it for the brand that a token for any brand names, too; what was `said` before, and that."""
        policy = await self._of_brand(brand_id) if isinstance(brand_id, str) else None
        if policy is None:
            return said
        also = self._take([(policy, brand_id)])
        return {name: ", ".join(filter(None, (said.get(name), also[name]))) for name in also}

    async def _of_brand(self, brand_id: str) -> Policy | None:
        """What the brand's own limits say, else what holds for all."""
        brand = await self._setup.brand(brand_id)
        own = brand.settings.limits.requests_per_second if brand and brand.settings.limits else None
        return _policy("brand", own) or self._brand

    def _take(self, limits: list[tuple[Policy, Hashable]]) -> dict[str, str]:
        now = self._clock.monotonic()
        taken: list[tuple[Policy, Hashable, Taken]] = []
        for policy, key in limits:
            one = take(policy, self._full_at.get(key, 0.0), now)
            if one is None:
                raise _too_many(policy)
            taken.append((policy, key, one))
        for _, key, one in taken:
            self._remember(key, one.full_at)
        return {
            "RateLimit-Policy": ", ".join(policy.quota() for policy, _, _ in taken),
            "RateLimit": ", ".join(one.said(policy.name) for policy, _, one in taken),
        }

    def _remember(self, key: Hashable, full_at: float) -> None:
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > _KEPT:
            self._full_at.popitem(last=False)


def _policy(name: str, per_second: int | None) -> Policy | None:
    return Policy(name, per_second) if per_second else None


def _too_many(policy: Policy) -> Refused:
    whose = "This token" if policy.name == "token" else "The brand"
    why = f"{whose} may make {policy.per_second} requests a second; wait, and repeat the request."
    said = {"RateLimit-Policy": policy.quota(), "RateLimit": f'"{policy.name}";r=0;t={WINDOW:g}'}
    return Refused(429, "rate_limited", why, {"Retry-After": f"{WINDOW:g}", **said})
