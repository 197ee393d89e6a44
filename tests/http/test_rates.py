"""Limits of requests: a token's and a brand's, said in the headers and kept by the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import rates, tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.brand import BrandLimits
from comms.domain.caller import Caller
from comms.http.app import application
from comms.settings import Settings
from comms.testing import FakeClock
from tests.http.bad_inputs import GOOD
from tests.journeys.story import change_brand

pytestmark = pytest.mark.anyio

LIST = "/v1/messages/scheduled?brand_id=loop"


@pytest.fixture
async def limited(house: House, loop_health: Caller) -> House:
    """Three requests a second for a token, five for a brand."""
    await change_brand(house, loop_health, limits=BrandLimits(requests_per_second=5))
    return replace(house, settings=msgspec.structs.replace(Settings(), token_requests_per_second=3))


@pytest.fixture
async def client(limited: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(limited))
    async with httpx.AsyncClient(transport=transport, base_url="http://comms.test") as opened:
        yield opened


async def bearer(house: House, name: str, brand: str = "loop") -> dict[str, str]:
    token = await tokens.create(house, OPERATOR, brand, ["admin:comms"], name, None, None)
    return {"Authorization": f"Bearer {token}"}


async def calls(
    client: httpx.AsyncClient, headers: dict[str, str], times: int, path: str = LIST, **more: Any
) -> list[int]:
    return [
        (await client.request(more.pop("method", "GET"), path, headers=headers, **more)).status_code
        for _ in range(times)
    ]


async def test_a_token_may_so_much_and_is_told_what_is_left(
    client: httpx.AsyncClient, limited: House, clock: FakeClock
) -> None:
    mine = await bearer(limited, "mine")
    first = await client.get(LIST, headers=mine)
    assert first.headers["RateLimit-Policy"] == '"token";q=3;w=1, "brand";q=5;w=1'
    assert first.headers["RateLimit"] == '"token";r=2;t=1, "brand";r=4;t=1'
    assert await calls(client, mine, 2) == [200, 200]
    refused = await client.get(LIST, headers=mine)
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit"] == '"token";r=0;t=1'
    clock.advance(1)
    assert await calls(client, mine, 4) == [200, 200, 200, 429]


async def test_all_tokens_of_a_brand_share_its_limit_and_no_other_brands(
    client: httpx.AsyncClient, limited: House, clock: FakeClock
) -> None:
    one, two, three = [await bearer(limited, each) for each in "123"]
    other = await bearer(limited, "other", "another")
    assert await calls(client, one, 3) + await calls(client, two, 2) == [200] * 5
    refused = await client.get(LIST, headers=three)
    assert refused.headers["RateLimit-Policy"] == '"brand";q=5;w=1'
    assert refused.json()["message"].startswith("The brand may make 5 requests a second")
    # What is refused counts against nobody: the token has all of its own left.
    clock.advance(1)
    answer = await client.get(LIST, headers=three)
    assert answer.headers["RateLimit"].startswith('"token";r=2')
    assert await calls(client, other, 3, "/v1/audit") == [200] * 3


async def test_a_token_for_any_brand_counts_for_the_one_that_it_names(
    client: httpx.AsyncClient, limited: House
) -> None:
    first, second = await bearer(limited, "1", "*"), await bearer(limited, "2", "*")
    made = await client.post("/v1/messages/schedule", headers=first, json=GOOD)
    assert made.status_code == 201, made.text
    assert made.headers["RateLimit"] == '"token";r=2;t=1, "brand";r=4;t=1'
    assert await calls(client, first, 2) + await calls(client, second, 2) == [200] * 4
    assert await calls(client, second | {"X-Brand-Id": "loop"}, 1, "/v1/notifications?person_id=p") == [429]


async def test_what_needs_no_token_and_what_is_wrong_counts_against_nobody(
    client: httpx.AsyncClient, limited: House
) -> None:
    mine = await bearer(limited, "mine")
    assert await calls(client, {}, 5, "/healthz") == [200] * 5
    assert await calls(client, {"Authorization": "Bearer comms_no"}, 5) == [401] * 5
    assert await calls(client, mine, 3) == [200] * 3


async def test_nothing_is_limited_unless_it_is_said(house: House, loop_health: Caller) -> None:
    assert loop_health.brand_id == "*"
    transport = httpx.ASGITransport(application(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://comms.test") as client:
        answer = await client.get(LIST, headers=await bearer(house, "mine"))
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_what_is_remembered_has_an_end(
    client: httpx.AsyncClient, limited: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_KEPT", 3)
    for n in range(5):
        assert await calls(client, await bearer(limited, f"t{n}"), 1) == [200]
    assert len(limited.rates._full_at) == 3
