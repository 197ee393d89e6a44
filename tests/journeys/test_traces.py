"""Traces: one message from the request to the provider, as somebody who receives OTLP sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import UUID

import httpx2 as httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from comms import otel
from comms.actions import tokens
from comms.actions.house import House
from comms.cli.local import OPERATOR
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.ids import bucket_of
from comms.http.app import application
from comms.settings import BadSetting
from comms.store import messages as rows
from comms.testing import FakeClock
from tests.http.bad_inputs import GOOD
from tests.journeys.story import tools
from tests.otlp import Receiver, receiving

pytestmark = pytest.mark.anyio

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
PERSONAL = {
    "person_id": "p-secret",
    "recipient": "+15555550199",
    "dedup_key": "k-secret",
    "variables": {"name": "Nobody"},
}


def facts(span: Span) -> dict[str, object]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.address)
        yield made


@pytest.fixture
async def traced(house: House, receiver: Receiver) -> AsyncIterator[House]:
    """A house as `comms serve` builds it under that environment; what is left is told before the receiver ends."""
    assert receiver.address
    made = replace(house, traces=otel.traces())
    yield made
    await made.traces.close()


@pytest.fixture
async def client(traced: House, loop_health: Caller) -> AsyncIterator[httpx.AsyncClient]:
    assert loop_health.brand_id == "*"
    token = await tokens.create(traced, OPERATOR, "*", ["admin:comms"], "everything", None, None)
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(application(traced))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://comms.test", headers=headers
    ) as opened:
        yield opened


async def test_one_message_is_followed_from_the_request_to_the_provider(
    traced: House, client: httpx.AsyncClient, clock: FakeClock, receiver: Receiver
) -> None:
    made = await client.post("/v1/messages/schedule", json=GOOD | PERSONAL, headers=SAMPLED)
    assert made.status_code == 201
    clock.advance(3600)
    assert await Worker(traced, tools(traced)).once() == 1
    await traced.traces.close()

    request, accept = receiver.one("POST /v1/messages/schedule"), receiver.one("accept")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
    assert (accept.trace_id, accept.parent_span_id) == (request.trace_id, request.span_id)
    assert facts(request) == {
        "http.request.method": "POST", "http.route": "/v1/messages/schedule", "http.response.status_code": 201,
    }  # fmt: skip
    deliver = receiver.one("deliver")
    (link,) = deliver.links
    assert (link.trace_id, link.span_id) == (accept.trace_id, accept.span_id)
    assert deliver.trace_id != accept.trace_id
    assert facts(deliver)["comms.message_id"] == facts(accept)["comms.message_id"] == made.json()["id"]
    parts = [receiver.one(name) for name in ("claim", "decide", "render", "hand over", "record")]
    assert {part.parent_span_id for part in parts} == {deliver.span_id}
    call = receiver.one("call")
    assert (call.parent_span_id, call.kind) == (receiver.one("hand over").span_id, Span.SPAN_KIND_CLIENT)
    assert facts(call) == {
        "comms.provider_id": "sand",
        "comms.provider_kind": "sandbox",
        "comms.outcome": "accepted",
    }
    assert {path for path, _ in receiver.requests} == {"/v1/traces"}


@pytest.mark.parametrize(
    ("broken", "mended", "part"),
    [
        ("alter table preference rename to away", "alter table away rename to preference", "decide"),
        ("update message set variables = variables || '!'", "select", "render"),
    ],
)
async def test_an_attempt_that_cannot_be_prepared_is_told_with_what_it_was(
    traced: House,
    client: httpx.AsyncClient,
    clock: FakeClock,
    receiver: Receiver,
    broken: str,
    mended: str,
    part: str,
) -> None:
    made = await client.post("/v1/messages/schedule", json=GOOD | PERSONAL, headers=SAMPLED)
    clock.advance(3600)
    await traced.database.owner.execute(broken)
    try:
        assert await Worker(traced, tools(traced)).once() == 1
    finally:
        await traced.database.owner.execute(mended)
    await traced.traces.close()
    deliver = receiver.one("deliver")
    told = facts(deliver)
    assert (told["comms.message_id"], told["error.type"]) == (made.json()["id"], "not_prepared")
    assert deliver.status.code == Status.STATUS_CODE_ERROR
    assert receiver.one(part).parent_span_id == deliver.span_id
    assert "record" not in {span.name for span in receiver.spans()}


async def test_nothing_that_is_told_names_a_person_or_says_what_was_said(
    traced: House, client: httpx.AsyncClient, clock: FakeClock, receiver: Receiver
) -> None:
    await client.post("/v1/messages/schedule", json=GOOD | PERSONAL, headers=SAMPLED)
    await client.post("/v1/messages/schedule", json=GOOD | PERSONAL | {"recipient": "no number of Nobody"})
    await client.get("/v1/persons/p-secret", headers=SAMPLED)
    await client.get("/v1/consents/p-secret?brand_id=loop")
    clock.advance(3600)
    await Worker(traced, tools(traced)).once()
    await traced.traces.close()
    told = str([request for _, request in receiver.requests])
    assert len(receiver.spans()) > 8
    assert not [word for word in ("secret", "5555550199", "Nobody") if word in told]


async def test_what_was_not_sampled_keeps_nothing_and_a_repeated_request_is_a_replay_in_any_trace(
    traced: House, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    unsampled = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    kept, replayed = {}, []
    for key, headers in (("a", unsampled), ("b", SAMPLED), ("b", unsampled)):
        made = await client.post("/v1/messages/schedule", json=GOOD | {"dedup_key": key}, headers=headers)
        assert made.status_code == 201
        replayed.append("Idempotent-Replayed" in made.headers)
        wanted = UUID(made.json()["id"])
        async with traced.database.owner.acquire() as connection:
            kept[key] = await rows.options(connection, bucket_of(wanted), wanted)
    assert replayed == [False, False, True]
    assert kept["a"] is None
    assert kept["b"] is not None
    await traced.traces.close()
    assert len(receiver.spans()) == 2


async def test_a_caller_cannot_say_what_is_traced(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages/schedule", json=GOOD | {"options": {"trace": f"{TRACE}-{SPAN}"}})
    assert (answer.status_code, answer.json()["error"]) == (422, "unknown_field")


async def test_a_batch_is_one_part_however_many_it_brings(
    client: httpx.AsyncClient, traced: House, receiver: Receiver
) -> None:
    from msgspec import json

    lines = b"\n".join(json.encode(GOOD | {"dedup_key": str(n)}) for n in range(3))
    answer = await client.post("/v1/messages/schedule/batch", content=lines, headers=SAMPLED)
    assert answer.text.count("201") == 3
    await traced.traces.close()
    assert [span.name for span in receiver.spans()] == ["POST /v1/messages/schedule/batch"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off_unless_the_environment_names_who_is_told(environ: dict[str, str]) -> None:
    assert not otel.traces(environ).is_on


def test_another_protocol_is_refused_at_the_start() -> None:
    with pytest.raises(BadSetting, match="http/protobuf alone"):
        otel.traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_a_header_that_can_not_be_read_is_refused_without_its_secret() -> None:
    with pytest.raises(BadSetting) as refused:
        otel.traces(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x",
                "OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer hidden",
            }
        )
    assert "OTEL_EXPORTER_OTLP_HEADERS" in str(refused.value)
    assert "hidden" not in str(refused.value)
