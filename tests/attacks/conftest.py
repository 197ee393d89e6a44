"""Who attacks: somebody with the token of a brand, or with none; over HTTP in the test's own process."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.caller import SCOPES
from tests.cli.conftest import client as far_client
from tests.cli.conftest import prepared, served, service
from tests.http.conftest import client

__all__ = ["client", "far_client", "prepared", "served", "service"]


@pytest.fixture
async def stranger(house: House, client: httpx.AsyncClient) -> dict[str, str]:
    """Headers of a token that may do everything, of a brand that is not loop."""
    brand: dict[str, Any] = {"name": "Other", "routes": {"sms": ["sand"]}}
    assert (await client.put("/v1/brands/other", json=brand)).status_code == 200
    scopes = [scope for scope in SCOPES if scope != "admin:comms"]
    token = await tokens.create(house, OPERATOR, "other", scopes, "stranger", None, None)
    return {"Authorization": f"Bearer {token}"}
