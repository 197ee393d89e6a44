"""Words in which the push services' tests are told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import jwt as pyjwt

from tests.providers.contract import Case, outcome_of
from tests.providers.vendor_server import Asked, Said, VendorServer

MESSAGE_ID = str(UUID(int=7))


async def served(case: Case, *script: Said, **changes: Any) -> VendorServer:
    """A server that was handed one delivery."""
    _, server = await outcome_of(case, *(script or (case.taken,)), **changes)
    return server


async def asked(case: Case, **changes: Any) -> Asked:
    """What it was asked."""
    [request] = (await served(case, **changes)).asked
    return request


def claims(token: str, key: Any, algorithm: str, audience: str | None = None) -> dict[str, Any]:
    """Of a token, verified by a library that is not ours; its clock is not the tests'."""
    found: dict[str, Any] = pyjwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=audience,
        options={"verify_exp": False, "verify_iat": False},
    )
    return found
