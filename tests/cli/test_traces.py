"""Traces of the command itself: told while it runs and as it ends, and in nobody's way."""

from __future__ import annotations

from pathlib import Path

from tests.cli.service import Prepared, comms, letter, sentence
from tests.otlp import receiving


def test_serve_tells_a_collector_what_it_did_before_it_ends(prepared: Prepared, tmp_path: Path) -> None:
    with receiving() as collector:
        with prepared.serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address) as (service, client):
            assert client.send(letter("traced")).body["status"] == "sent"
            service.terminate()
            assert service.status() == 0
        (about,) = {
            each.value.string_value
            for _, request in collector.requests
            for told in request.resource_spans
            for each in told.resource.attributes
            if each.key == "service.name"
        }
        assert about == "comms"
        (link,) = collector.one("deliver").links
        assert link.span_id == collector.one("accept").span_id


def test_a_protocol_that_is_not_spoken_is_refused_in_a_sentence(tmp_path: Path) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert sentence(comms(tmp_path, "serve", **given)).startswith(
        "comms tells its traces by http/protobuf alone"
    )
