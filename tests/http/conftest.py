"""The service over HTTP, in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.caller import Caller
from comms.http.app import application


@pytest.fixture
async def client(house: House, loop_health: Caller) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token that may do everything."""
    assert loop_health.brand_id == "*"
    token = await tokens.create(house, OPERATOR, "*", ["admin:comms"], "everything", None, None)
    transport = httpx.ASGITransport(application(house))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://comms.test", headers=headers
    ) as opened:
        yield opened
