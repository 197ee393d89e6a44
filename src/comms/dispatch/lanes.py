"""What to claim next: what is due longest, as long as nobody's way is blocked; else of each template a part.

The plain claim takes the oldest, whosever they are. That is cheap, and right where all that is due goes out.
Where it comes back full more may be due than can go, and where a provider has limits or is ill its messages
would fill the worker. Then the templates are looked at (`store/sql/queue.sql`, `lanes`), and each gets its
part (`domain/shares`): nothing where its provider has no room.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from comms.actions.house import House
from comms.actions.setup import Account
from comms.dispatch.admission import Admission
from comms.dispatch.instants import Instants
from comms.domain.shares import OVERDUE, Lane, Portion, portions
from comms.store import canaries, pace, queue
from comms.store.queue import Claim

_SHARE_OF_TIME = 10
"""A look takes a tenth of the time at most: where there are very many templates it is taken less often."""

_OFTEN = 0.05
_HURRY = 0.1
"""Of all that, where sooner work was heard of."""

_A_MOMENT = timedelta(milliseconds=1)
_RESTING = "resting"
_LONGEST_LINE = 200
"""So many messages may be on their way to one provider; four for each that it takes where that is less."""


@dataclass(slots=True)
class _Seen:
    """What a look showed; times are monotonic seconds, `clock` is what the database's read."""

    at: float = float("-inf")
    took: float = 0.0
    clock: datetime | None = None
    lanes: list[Lane] = field(default_factory=list)


class Lanes:
    """As one worker sees them."""

    def __init__(self, house: House, admission: Admission, instants: Instants) -> None:
        self._house = house
        self._admission = admission
        self._instants = instants
        self._epoch = -1
        self._are_limited = False
        self._is_crowded = False
        self._is_in_doubt = False
        self._lines: dict[Hashable, int] = {}
        self._routes: dict[tuple[str, str], list[Account]] = {}
        self._shares: dict[tuple[str, str], dict[str, int]] = {}
        self._canaries: dict[tuple[str, str, str], list[Account]] = {}
        self._weights: dict[str, int] = {}
        self._seen = _Seen()
        self._is_blocked = False
        self._turn = 0

    async def portions(self, ahead: timedelta, limit: int) -> list[Portion] | None:
        """What to claim of what is due within `ahead`; None: what is due longest."""
        await self._learn_setup()
        await self._admission.breakers.refresh()
        if not (self._are_limited or self._is_crowded or self._admission.breakers.any_open()):
            return None
        await self._look()
        if self._seen.clock is None:
            return []
        until = self._now(self._seen.clock) + ahead
        due = [lane for lane in self._seen.lanes if lane.due_at <= until]
        rooms = {lane.room: self._room(lane.room) for lane in due if lane.room is not None}
        open_ = [lane for lane in due if lane.room is None or rooms[lane.room]]
        self._is_blocked = len(open_) < len(due)
        if not rooms and len(open_) == 1 and open_[0].due_at > until - OVERDUE:
            return None  # there is nobody to be fair to
        self._turn += 1
        return portions(open_, self._weights, rooms, until + _A_MOMENT, limit, self._turn)

    def claimed(self, claims: list[Claim], limit: int) -> None:
        """Remember who is on their way, and whether there may be more than can go."""
        self._is_crowded = len(claims) > limit // 4
        if not (self._are_limited or self._admission.breakers.any_open()):
            return
        rooms = {lane.template_id: lane.room for lane in self._seen.lanes if lane.room is not None}
        for claim in claims:
            if claim.template_id in rooms:
                self._admission.expect(rooms[claim.template_id], claim.id)

    def until_next(self) -> float | None:
        """Seconds until the next message is due that has room; None where none is known."""
        waits = [self._instants.until(lane.due_at) for lane in self._seen.lanes
                 if lane.room is None or self._room(lane.room)]  # fmt: skip
        if self._is_in_doubt:
            waits.append(0.0)
        return min(waits, default=None)

    def is_blocked(self, room: Hashable) -> bool:
        """Have messages waited for this room, and is there some now?"""
        return self._is_blocked and self._room(room) > 0

    def doubt(self) -> None:
        """Something is due that was not there before."""
        self._is_in_doubt = True

    def forget(self) -> None:
        """Look again, however short a time ago that was."""
        self._seen.at = float("-inf")

    async def _learn_setup(self) -> None:
        """Of the set-up as it is now."""
        setup = self._house.setup
        if self._epoch == setup.epoch:
            return
        epoch = setup.epoch
        self._are_limited = await pace.any_limits(self._house.database.engine)
        self._routes, self._shares, self._weights, self._lines = {}, {}, {}, {}
        self._canaries = await self._learn_canaries()
        self._epoch = epoch
        self.forget()

    async def _learn_canaries(self) -> dict[tuple[str, str, str], list[Account]]:
        """By brand, channel and template: the providers that canaries go through, whatever the route says."""
        watched: dict[tuple[str, str, str], list[Account]] = {}
        for row in await canaries.found(self._house.database.owner, self._house.clock.sql_now()):
            if account := await self._house.setup.account(row["provider_id"]):
                watched.setdefault((row["brand_id"], row["channel"], row["template_key"]), []).append(account)
        return watched

    async def _look(self) -> None:
        asked = self._house.clock.monotonic()
        hurry = _HURRY if self._is_in_doubt else 1.0
        if asked - self._seen.at < max(_OFTEN, self._seen.took * _SHARE_OF_TIME) * hurry:
            return
        self._is_in_doubt = False
        rows = await queue.lanes(self._house.database.engine, self._house.setup.held)
        if rows:
            self._instants.observe(asked, rows[0]["clock"])
        lanes = [await self._lane(row) for row in rows]
        took = self._house.clock.monotonic() - asked
        self._seen = _Seen(asked, took, rows[0]["clock"] if rows else None, lanes)

    async def _lane(self, row: asyncpg.Record) -> Lane:
        brand_id = row["brand_id"]
        key = (brand_id, row["channel"])
        if key not in self._routes:
            brand = await self._house.setup.brand(brand_id)
            limits = brand.settings.limits if brand else None
            self._weights[brand_id] = limits.weight if limits else 1
            hipaa = bool(brand and brand.settings.hipaa)
            self._routes[key] = await self._house.setup.route(brand, key[1], hipaa=hipaa) if brand else []
            self._shares[key] = brand.settings.weights(key[1]) if brand else {}
        room = self._whose_room(brand_id, self._ways(key, row["key"]), self._shares[key])
        return Lane(row["template_id"], brand_id, row["due_at"], row["deadline"], room)

    def _ways(self, of: tuple[str, str], template_key: str) -> list[Account]:
        """The route, then whom only the template's canaries go through."""
        ways = {each.provider_id: each for each in self._routes[of]}
        for each in self._canaries.get((*of, template_key), []):
            ways.setdefault(each.provider_id, each)
        return list(ways.values())

    def _whose_room(self, brand_id: str, route: list[Account], weights: Mapping[str, int]) -> Hashable | None:
        """That of the first that is well; where none is, that of one message that may find out."""
        rests = {each.provider_id: self._admission.breakers.rest(each, brand_id) for each in route}
        well = [account for account in route if rests[account.provider_id] is None]
        if well:
            return self._shared_room(
                [each for each in well if each.provider_id in weights] or well[:1], weights
            )
        waits = [rest for rest in rests.values() if rest is not None]
        if not waits:
            return None
        room = (_RESTING, brand_id, *rests)
        self._lines[room] = int(min(waits) <= 0)
        return room

    def _shared_room(self, accounts: list[Account], weights: Mapping[str, int]) -> Hashable | None:
        """One for those who share the messages: as much as lets none of them get more than its own line."""
        limited = [each for each in accounts if each.limits]
        if not limited:
            return None
        total = sum(weights.get(each.provider_id, 1) for each in accounts)
        room = frozenset(each.provider_id for each in accounts)
        self._lines[room] = min(
            _LONGEST_LINE * len(accounts),
            *(_line(each.limits) * total // weights.get(each.provider_id, 1) for each in limited),
        )
        return room

    def _room(self, room: Hashable) -> int:
        """So many more may be claimed: few at a time are not worth a claim."""
        line, coming = self._lines.get(room, 0), self._admission.coming(room)
        return line - coming if coming <= line // 2 else 0

    def _now(self, clock: datetime) -> datetime:
        if (now := self._house.clock.sql_now()) is not None:
            return now
        return clock + timedelta(seconds=self._house.clock.monotonic() - self._seen.at)


def _line(limits: dict[str, float]) -> int:
    return min(_LONGEST_LINE, max(2, 4 * math.ceil(min(limits.values(), default=0))))
