"""Providers that are ill are not called.

    opens      at once where the set-up is refused (`Misconfigured`), for the brand whose message it was: a
               sender that one brand may not use says nothing of another's
               after ten calls in a row that were not answered or told to come later, for all brands
    while open the next on the route is called; without one the messages wait, and are not claimed
    half open  after a pause that doubles with each failure one call goes, one of all workers'
               (`store/sql/breaker.sql`, `probe`). Any answer but that it is still ill closes the circuit
    closes     also where the provider is set up anew

It is a row in the database; each worker reads it twice a second, and knows its own finds at once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from comms.actions.house import House
from comms.actions.setup import Account
from comms.providers.base import Lost, Misconfigured, Outcome, TryLater
from comms.store import breaker as rows
from comms.store.breaker import ALL, Key, Pauses
from comms.store.database import AWAY

log = structlog.get_logger()

RUN = 10
"""So many in a row make a provider ill: fewer may be the recipients' affair."""

_FRESH = 0.5
_AFTER_RUN = Pauses(1.0, 60.0)
_AFTER_REFUSAL = Pauses(5.0, 300.0)


class _Open(NamedTuple):
    set_up_at: datetime
    probe_at: float
    """On the monotonic clock."""


class Breakers:
    """As one worker knows them. `probes`: what a call is to find out for all."""

    def __init__(self, house: House, owner: UUID) -> None:
        self._house = house
        self._owner = owner
        self._open: dict[Key, _Open] = {}
        self._read_at = float("-inf")
        self._runs: defaultdict[str, int] = defaultdict(int)
        self._telling: set[asyncio.Task[None]] = set()

    async def refresh(self) -> None:
        """What all workers know, at most twice a second."""
        asked = self._house.clock.monotonic()
        if asked - self._read_at < _FRESH or self._telling:
            return  # what is being told is not in the database yet
        found = await rows.standing(self._house.database.engine, self._house.clock.sql_now())
        if not self._telling:
            self._open = {each.key: _Open(each.set_up_at, asked + each.seconds) for each in found}
            self._read_at = asked

    def any_open(self) -> bool:
        """Is any provider not to be called?"""
        return bool(self._open)

    def rest(self, account: Account, brand_id: str) -> float | None:
        """Seconds until the provider may be tried; None where it is well."""
        opened = self._keys(account, brand_id)
        now = self._house.clock.monotonic()
        return max(max(0.0, self._open[key].probe_at - now) for key in opened) if opened else None

    async def admit(self, account: Account, brand_id: str) -> frozenset[Key] | None:
        """What a call would find out, nothing where it is well; None where it is not to be called."""
        probes = set()
        for key in self._keys(account, brand_id):
            if not await self._probe(key):
                return None
            probes.add(key)
        return frozenset(probes)

    def is_barred(self, account: Account, brand_id: str, probes: frozenset[Key]) -> bool:
        """Has it become ill meanwhile? Nothing is awaited: for the moment before a call."""
        return not probes.issuperset(self._keys(account, brand_id))

    def heard(self, account: Account, brand_id: str, outcome: Outcome, probes: frozenset[Key]) -> None:
        """Draw the consequences of an answer, in the background: nothing may delay its record."""
        ill: set[Key] = set()
        if isinstance(outcome, Misconfigured):
            ill = {Key(account.provider_id, brand_id)}
        elif isinstance(outcome, TryLater | Lost) and not outcome.of_message:
            self._runs[account.provider_id] += 1
            is_run = self._runs[account.provider_id] >= RUN
            ill = {*probes, Key(account.provider_id, ALL)} if is_run else set(probes)
        else:
            self._runs[account.provider_id] = 0
        for key in ill:
            self._ill(account, key, outcome, is_probe=key in probes)
        for key in probes - ill:
            self._well(key)

    async def told(self) -> None:
        """Return when the others can know what we know."""
        await asyncio.gather(*self._telling)

    def _keys(self, account: Account, brand_id: str) -> list[Key]:
        """Those that are open; of an older set-up they say nothing."""
        if not self._open:
            return []
        found = [Key(account.provider_id, each) for each in (ALL, brand_id)]
        return [key for key in found if key in self._open and self._open[key].set_up_at == account.updated_at]

    async def _probe(self, key: Key) -> bool:
        lease = timedelta(seconds=self._house.settings.lease_seconds)
        now = self._house.clock.sql_now()
        try:
            return await rows.probe(self._house.database.engine, now, key, self._owner, lease)
        except (*AWAY, asyncpg.PostgresError):
            return False

    def _ill(self, account: Account, key: Key, outcome: Outcome, *, is_probe: bool) -> None:
        is_open = key in self._keys(account, key.brand_id)
        if is_open and not is_probe:
            return  # a call that was under way when it opened
        reason, asked = getattr(outcome, "reason", ""), getattr(outcome, "after", None) or 0.0
        pauses = _AFTER_RUN if key.brand_id == ALL else _AFTER_REFUSAL
        self._runs[account.provider_id] = 0
        until = self._house.clock.monotonic() + max(pauses.first, asked)
        self._open[key] = _Open(account.updated_at, until)
        if not is_open:
            log.error("provider_rests", provider_id=key.provider_id, brand_id=key.brand_id, reason=reason)
        engine, now = self._house.database.engine, self._house.clock.sql_now()
        self._tell(rows.open_(engine, now, key, account.updated_at, self._owner, pauses, asked, reason))

    def _well(self, key: Key) -> None:
        self._open.pop(key, None)
        log.info("provider_is_well", provider_id=key.provider_id, brand_id=key.brand_id)
        self._tell(rows.close(self._house.database.engine, key, self._owner))

    def _tell(self, telling: Coroutine[Any, Any, bool]) -> None:
        """Where the database is away the others find out for themselves."""

        async def tell() -> None:
            try:
                await telling
            except (*AWAY, asyncpg.PostgresError) as error:
                log.warning("breaker_not_told", problem=type(error).__name__)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        self._read_at = float("-inf")
