"""Traces for OpenTelemetry: told by OTLP over HTTP to whom the standard's own variables name.

The SDK reads the variables (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). It is imported only
where they are set: off costs nothing.

What is accepted and what is delivered later are two traces, the second with a link back: a message may wait
for months. What was sampled when it was accepted is traced to its end; all else costs nothing. No
exception's text and no address is kept, and nothing is told to a provider.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from comms.settings import BadSetting
from comms.traces import NOTHING, UNTRACED, Fact, Part, Traces

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Looked at before the SDK does: it would log one that it can't read, with the secret in it."""

_SPOKEN = "http/protobuf"
_LAST_WORDS = 5.0
"""Seconds in which a process that ends tells what is left; a collector that is away keeps nobody."""


def traces(environ: Mapping[str, str] = os.environ) -> Traces:
    """As the environment asks for; none where it names nobody to tell. Raises BadSetting."""
    said = {name: value.strip() for name, value in environ.items() if name.startswith("OTEL_")}
    is_off = said.get("OTEL_SDK_DISABLED", "").lower() == "true" or said.get("OTEL_TRACES_EXPORTER") == "none"
    if is_off or not any(said.get(name) for name in _ENDPOINTS):
        return UNTRACED
    if any("=" not in pair for name in _HEADERS for pair in said.get(name, "").split(",") if pair.strip()):
        raise BadSetting("OTEL_EXPORTER_OTLP_HEADERS must be name=value, apart by commas.")
    protocol = next((said[name] for name in _PROTOCOLS if said.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        raise BadSetting(
            f"comms tells its traces by {_SPOKEN} alone: set {_PROTOCOLS[1]} to it, or unset it."
        )
    return _Told(
        named="OTEL_SERVICE_NAME" in said or "service.name=" in said.get("OTEL_RESOURCE_ATTRIBUTES", "")
    )


class _Told(Traces):
    is_on = True

    def __init__(self, *, named: bool) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        resource = Resource.create({} if named else {"service.name": "comms"})
        self._telling = BatchSpanProcessor(OTLPSpanExporter())
        asked = TracerProvider(
            resource=resource, shutdown_on_exit=False
        )  # samples as OTEL_TRACES_SAMPLER says
        followed = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        for each in (asked, followed):
            each.add_span_processor(self._telling)
        self._asked, self._followed = asked.get_tracer("comms"), followed.get_tracer("comms")

    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Part:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        before = TraceContextTextMapPropagator().extract(carried)
        facts = {"http.request.method": method, "http.route": route}
        span = self._asked.start_span(f"{method} {route}", before, SpanKind.SERVER, facts)
        return _Part(self._asked, span) if span.is_recording() else NOTHING

    def delivery(self, link: str | None) -> Part:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

        if link is None:
            return NOTHING
        trace_id, _, span_id = link.partition("-")
        sampled = TraceFlags(TraceFlags.SAMPLED)
        accepted = Link(SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=sampled))
        span = self._followed.start_span("deliver", Context(), SpanKind.CONSUMER, links=[accepted])
        return _Part(self._followed, span)

    async def close(self) -> None:
        last = threading.Thread(target=self._telling.shutdown, name="last spans", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, _LAST_WORDS)


class _Part(Part):
    """A span."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        context = span.get_span_context()
        self.link = f"{context.trace_id:032x}-{context.span_id:016x}"

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.failed(kind.__name__)
        self._span.end()

    def part(self, name: str, *, since: datetime | None = None, calls: bool = False) -> Part:
        from opentelemetry.trace import SpanKind, set_span_in_context

        within = set_span_in_context(self._span)
        begun = int(since.timestamp() * 1e9) if since else None
        kind = SpanKind.CLIENT if calls else SpanKind.INTERNAL
        return _Part(self._tracer, self._tracer.start_span(name, within, kind, start_time=begun))

    def note(self, **facts: Fact) -> None:
        self._span.set_attributes({f"comms.{name}": value for name, value in facts.items()})

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.failed(str(status))

    def failed(self, why: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", why)
        self._span.set_status(StatusCode.ERROR)
