"""Many messages in one call: lines in, verdicts out, whatever stands in the lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest

from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.http import batch
from tests.http.bad_inputs import GOOD, cases

pytestmark = pytest.mark.anyio

PATH = "/v1/messages/schedule/batch"
UNAVAILABLE = (503, "temporarily_unavailable")


def line(key: object, **changes: Any) -> bytes:
    return json.dumps({**GOOD, "dedup_key": f"key-{key}", **changes}).encode() + b"\n"


async def post(
    client: httpx.AsyncClient, content: bytes | AsyncIterator[bytes], **headers: str
) -> list[dict[str, Any]]:
    headers = {"Content-Type": "application/x-ndjson", **headers}
    answer = await client.post(PATH, content=content, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(each) for each in answer.content.splitlines()]


def said(verdicts: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(verdict["status"], verdict.get("error", "")) for verdict in verdicts]


async def accepted(client: httpx.AsyncClient) -> int:
    listed = await client.get("/v1/messages/recent", params={"brand_id": "loop", "limit": 1000})
    return len(listed.json()["messages"])


async def test_each_line_has_its_verdict_in_the_order_of_the_lines(client: httpx.AsyncClient) -> None:
    verdicts = await post(client, b"".join(line(n) for n in range(300)))
    assert [verdict["line"] for verdict in verdicts] == list(range(1, 301))
    assert all(
        verdict == {"line": verdict["line"], "status": 201, "id": verdict["id"], "replayed": False}
        for verdict in verdicts
    )
    for number in (0, 150, 299):
        shown = (await client.get(f"/v1/messages/scheduled/{verdicts[number]['id']}")).json()
        assert shown["dedup_key"] == f"key-{number}"


async def test_a_bad_line_is_answered_as_the_single_call_would_and_harms_no_other(
    client: httpx.AsyncClient,
) -> None:
    bad = [case for case in cases() if b"\n" not in case[1] and case[1].strip()]
    assert len(bad) > 200
    body = b"".join(line(f"good-{number}") + text + b"\n" for number, (_, text, _, _) in enumerate(bad))
    verdicts = await post(client, body)
    assert said(verdicts[1::2]) == [(status, code) for _, _, status, code in bad]
    assert {set(verdict) == {"line", "status", "error", "message"} for verdict in verdicts[1::2]} == {True}
    assert set(said(verdicts[::2])) == {(201, "")}
    assert await accepted(client) == len(bad)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("too long", b" " * 262_145, (413, "payload_too_large")),
        ("much too long", b"x" * 3_000_000, (413, "payload_too_large")),
        ("no UTF-8", b'{"channel": "\xff"}', (422, "validation_error")),
        ("a NUL byte", b'{"channel": "\x00"}', (422, "validation_error")),
        ("a NUL", line(0, person_id="a\0b").strip(), (422, "validation_error")),
        ("no object", b"[]", (422, "validation_error")),
    ],
)
async def test_the_lines_around_a_hopeless_one_are_accepted(
    client: httpx.AsyncClient, name: str, text: bytes, expected: tuple[int, str]
) -> None:
    verdicts = await post(client, line(1) + text + b"\n" + line(2))
    assert said(verdicts) == [(201, ""), expected, (201, "")], name


async def test_a_line_may_have_256_kib(client: httpx.AsyncClient) -> None:
    text = line(1).strip()
    verdicts = await post(client, text + b" " * (262_144 - len(text)) + b"\n")
    assert said(verdicts) == [(201, "")]


async def test_lines_are_cut_wherever_the_pieces_end(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in line(1, variables={"name": "Zoë"}) + line(2) + line(3).strip():
            yield bytes([byte])

    assert said(await post(client, pieces())) == [(201, "")] * 3


async def test_blank_lines_are_counted_and_passed_over(client: httpx.AsyncClient) -> None:
    verdicts = await post(client, b"\n \r\n" + line(1).strip() + b"\r\n\n" + line(2) + b"\n")
    assert [(verdict["line"], verdict["status"]) for verdict in verdicts] == [(3, 201), (5, 201)]


async def test_of_nothing_comes_nothing(client: httpx.AsyncClient) -> None:
    assert await post(client, b"") == []


async def test_one_key_twice_in_a_batch_is_one_message_and_two_contents_a_conflict(
    client: httpx.AsyncClient,
) -> None:
    body = line(1) + line(1) + line(1, person_id="other") + line(2, recipient="nobody") + line(2) + line(2)
    first, again, other, bad, good, more = await post(client, body)
    assert (first["replayed"], again["replayed"], first["id"]) == (False, True, again["id"])
    assert other["error"] == "dedup_key_conflict"
    assert bad["error"] == "invalid_recipient"
    assert (good["replayed"], more["replayed"], good["id"]) == (False, True, more["id"])


async def test_the_first_of_equal_keys_wins_however_far_apart_they_stand(client: httpx.AsyncClient) -> None:
    body = [line(n % 100, person_id=f"p{n // 100}") for n in range(1500)]
    verdicts = await post(client, b"".join(body))
    assert said(verdicts[:100]) == [(201, "")] * 100
    assert said(verdicts[100:]) == [(422, "dedup_key_conflict")] * 1400


async def test_a_batch_whose_answer_was_lost_is_simply_repeated(client: httpx.AsyncClient) -> None:
    body = b"".join(line(n) for n in range(200))
    first = await post(client, body)
    again = await post(client, line("single") + body)
    assert [verdict["id"] for verdict in again[1:]] == [verdict["id"] for verdict in first]
    assert [verdict["replayed"] for verdict in again] == [False] + [True] * 200
    assert await accepted(client) == 201


async def test_a_single_request_and_a_line_share_their_keys(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/messages/schedule", json={**GOOD, "dedup_key": "key-1"})).json()
    (verdict,) = await post(client, line(1))
    assert verdict == {"line": 1, "status": 201, "id": made["id"], "replayed": True}
    answer = await client.post("/v1/messages/schedule", json={**GOOD, "dedup_key": "key-1"})
    assert answer.headers["Idempotent-Replayed"] == "true"


async def test_another_brands_line_is_refused_and_no_other(client: httpx.AsyncClient, house: House) -> None:
    token = await tokens.create(house, OPERATOR, "loop", ["write:messages"], "loop's", None, None)
    body = line(1) + line(2, brand_id="another") + line(3)
    verdicts = await post(client, body, Authorization=f"Bearer {token}")
    assert said(verdicts) == [(201, ""), (403, "forbidden"), (201, "")]


async def test_a_token_without_the_scope_is_refused_as_a_whole(
    client: httpx.AsyncClient, house: House
) -> None:
    token = await tokens.create(house, OPERATOR, "loop", ["read:messages"], "reader", None, None)
    answer = await client.post(PATH, content=line(1), headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - it is the database that is asked
            await asyncio.sleep(0.01)


async def test_a_token_that_is_revoked_meanwhile_is_refused_from_then_on(
    client: httpx.AsyncClient, house: House
) -> None:
    token = await tokens.create(house, OPERATOR, "loop", ["write:messages"], "short", None, None)

    async def pieces() -> AsyncIterator[bytes]:
        yield line(1)
        await tokens.revoke(house, OPERATOR, "short")
        house.clock.advance(1)  # type: ignore[attr-defined]
        yield line(2)

    verdicts = await post(client, pieces(), Authorization=f"Bearer {token}")
    assert said(verdicts) == [(201, ""), (401, "invalid_token")]


async def test_a_service_that_drains_refuses_the_lines_that_remain(
    client: httpx.AsyncClient, house: House
) -> None:
    async def one_is_there() -> bool:
        return await accepted(client) == 1

    async def pieces() -> AsyncIterator[bytes]:
        yield line(1)
        await until(one_is_there)
        house.draining.set()
        yield line(2) + line(3)

    assert said(await post(client, pieces())) == [(201, ""), UNAVAILABLE, UNAVAILABLE]


async def test_where_the_database_goes_away_the_lines_say_so_and_the_answer_is_whole(
    client: httpx.AsyncClient, house: House
) -> None:
    async def one_is_there() -> bool:
        return await accepted(client) == 1

    async def pieces() -> AsyncIterator[bytes]:
        yield line(1)
        await until(one_is_there)
        house.database.engine.terminate()
        yield line(2) + line(3, channel="fax") + line(4)

    verdicts = await post(client, pieces())
    assert said(verdicts) == [(201, ""), UNAVAILABLE, (422, "validation_error"), UNAVAILABLE]


async def test_a_client_that_falls_silent_is_told_and_keeps_what_it_has(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "SILENCE_SECONDS", 0.2)

    async def pieces() -> AsyncIterator[bytes]:
        yield line(1) + line(2)[:20]
        await asyncio.Event().wait()

    verdicts = await post(client, pieces())
    assert said(verdicts) == [(201, ""), (408, "request_timeout")]
    assert verdicts[1]["line"] == 2
