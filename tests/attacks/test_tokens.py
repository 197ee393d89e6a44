"""S4, S8, S9: what a token does not open, and what is none."""

from __future__ import annotations

import base64
import hashlib
import json

import httpx2 as httpx
import jwt
import pytest

from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.domain.caller import SCOPES
from tests.canaries.filler import operations
from tests.http.bad_inputs import GOOD

pytestmark = pytest.mark.anyio

CLAIMS = {"sub": "admin", "scope": "admin:comms", "brand_id": "*", "exp": 4_000_000_000, "aud": "comms"}
KEY = "k" * 32


def forged() -> dict[str, str]:
    """Tokens that claim to be one: S8's inputs, and what is nearly one of ours."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in ({"alg": "none"}, CLAIMS)
    ]
    return {
        "alg none": ".".join([*parts, ""]),
        "alg None": jwt.encode(CLAIMS, "", "none"),
        "HS256": jwt.encode(CLAIMS, KEY, "HS256"),
        "a kid that is a path": jwt.encode(CLAIMS, KEY, "HS256", {"kid": "../../../../dev/null"}),
        "expired": jwt.encode({**CLAIMS, "exp": 1}, KEY, "HS256"),
        "another audience": jwt.encode({**CLAIMS, "aud": "other"}, KEY, "HS256"),
        "a prefix alone": "comms_",
        "many bytes": "comms_" + "A" * 8_000,
        "a percent sign": "comms_%",
        "not ASCII": "comms_\u00e9",
    }  # fmt: skip


@pytest.mark.parametrize("token", forged().values(), ids=forged().keys())
async def test_what_is_no_token_of_ours_is_refused_without_a_word_of_why(
    client: httpx.AsyncClient, token: str
) -> None:
    answer = await client.get(
        "/v1/brands/loop", headers=[(b"Authorization", f"Bearer {token}".encode("latin-1"))]
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.json()["message"] == "The token is unknown, expired or revoked; use another one."


async def test_a_token_counts_in_its_header_alone(client: httpx.AsyncClient) -> None:
    token = client.headers.pop("Authorization").removeprefix("Bearer ")
    for sent in (
        {"params": {"access_token": token}},
        {"params": {"token": token}},
        {"headers": {"Cookie": f"token={token}; Authorization=Bearer {token}"}},
        {"headers": {"X-Api-Key": token}},
        {"headers": {"Authorization": f"Basic {base64.b64encode(f'x:{token}'.encode()).decode()}"}},
    ):
        answer = await client.get("/v1/brands/loop", **sent)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated"), sent
        assert token not in answer.text


async def test_who_has_the_table_of_tokens_has_none(client: httpx.AsyncClient, house: House) -> None:
    token = await tokens.create(house, OPERATOR, "loop", ["read:messages"], "stolen", None, None)
    assert len(token) - len(tokens.PREFIX) >= 43, "32 random bytes"
    rows = await house.database.owner.fetch("select * from token")
    stolen = repr([dict(row) for row in rows])
    assert token.removeprefix(tokens.PREFIX) not in stolen
    kept = next(row["hash"] for row in rows if row["name"] == "stolen")
    assert kept == hashlib.sha256(token.encode()).digest()
    for tried in (kept.hex(), base64.urlsafe_b64encode(kept).decode().rstrip("="), "stolen"):
        for prefix in ("", tokens.PREFIX):
            answer = await client.get("/v1/brands/loop", headers={"Authorization": f"Bearer {prefix}{tried}"})
            assert answer.status_code == 401


async def test_who_may_not_read_messages_is_shown_no_recipient(
    client: httpx.AsyncClient, house: House
) -> None:
    """Every address that answers a GET, with every scope but that one (and the operator's, which has all)."""
    asked = {
        **GOOD,
        "recipient": "+15555557391",
        "person_id": "xylophone-person",
        "dedup_key": "xylophone-key",
    }
    made = (await client.post("/v1/messages/schedule", json=asked)).json()
    scopes = [scope for scope in SCOPES if scope not in {"read:messages", "admin:comms"}]
    token = await tokens.create(house, OPERATOR, "loop", scopes, "blind", None, None)
    blind = {"Authorization": f"Bearer {token}"}
    for operation in operations():
        if operation.method != "GET" or operation.path.startswith(("/u/", "/p/")):
            continue
        path = (
            operation.path.replace("{id}", made["id"])
            .replace("{person_id}", "nobody")
            .replace("{", "")
            .replace("}", "")
        )
        answer = await client.get(path, params={"brand_id": "loop"}, headers=blind)
        assert "5557391" not in answer.text, path
        assert "xylophone" not in answer.text, path
