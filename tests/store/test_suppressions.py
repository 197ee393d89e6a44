"""Suppressions that are added together."""

from __future__ import annotations

import asyncio

import pytest

from comms.actions.house import House
from comms.actions.suppressions import suppression
from comms.domain.caller import Caller
from comms.store import suppressions as rows
from comms.store.suppressions import NewSuppression
from comms.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_groups_that_name_the_same_addresses_neither_fail_nor_embrace(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    assert loop_health.brand_id == "*"
    brand = await house.setup.require_brand("loop")

    def new(address: str) -> NewSuppression:
        return suppression(brand, "email", address, "hard_bounce", "test", clock.now())

    async def add(addresses: list[str]) -> set[object]:
        async with house.database.engine.acquire() as connection, connection.transaction():
            standing = await rows.add(connection, [new(each) for each in addresses], clock.now())
        return {row["id"] for row in standing}

    addresses = [f"a{number}@example.org" for number in range(50)]
    groups = [addresses + addresses[:5], addresses[::-1], addresses[::2]] * 4
    answered = await asyncio.gather(*(add(group) for group in groups))
    assert len(set().union(*answered)) == len(addresses)
    owner = house.database.owner
    assert await owner.fetchval("select count(*) from suppression") == len(addresses)
    added = "select count(*) from ledger where event = 'suppression_added'"
    assert await owner.fetchval(added) == len(addresses)
