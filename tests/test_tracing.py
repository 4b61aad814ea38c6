"""Spans of a read, caught on loopback as a collector would get them: whole traces, and nothing of a person or a secret in them."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines import tracing
from cdp_pipelines.config import PROJECT_DIR, MarketoConnection, connection_from_config
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.sandbox import credentials
from tests.sources.test_drift import made_app


class Collector:
    """Takes what exporters send."""

    def __init__(self) -> None:
        self.raw, self.spans = b"", list[Any]()
        self.app = Starlette(routes=[Route("/v1/traces", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        body = await request.body()
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.raw += body
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(body)
        self.spans += [span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans]
        return Response(media_type="application/x-protobuf")


def test_a_read_is_one_trace_with_a_span_for_each_call(serve: Callable[[ASGIApp], str], tmp_path: Path) -> None:
    collector = Collector()
    environment = {
        **os.environ, "CDP_DATA_DIR": str(tmp_path), "CDP_CONNECTIONS": "hubspot", "HUBSPOT_BASE_URL": serve(made_app("hubspot")),
        "HUBSPOT_ACCESS_TOKEN": str(credentials.HUBSPOT["access_token"]), "OTEL_EXPORTER_OTLP_ENDPOINT": serve(collector.app),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
    }  # fmt: skip
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    command = [instrument, sys.executable, "-m", "cdp_pipelines.sources.hubspot"]
    done = subprocess.run(command, env=environment, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (root,) = (span for span in collector.spans if span.name == "read hubspot")
    calls = [span for span in collector.spans if span.name != "read hubspot"]
    assert {"GET hubspot contacts", "GET hubspot deals", "POST hubspot deal_contact_associations"} <= {span.name for span in calls}
    assert {span.trace_id for span in calls} == {root.trace_id}
    told = [{a.key: a.value.string_value or a.value.int_value for a in span.attributes} for span in calls]
    assert {attributes["http.response.status_code"] for attributes in told} <= {200, 207}
    names = {"http.request.method", "http.response.status_code", "server.address", "cdp.connection", "cdp.object"}
    assert {name for attributes in told for name in attributes} == names
    assert str(credentials.HUBSPOT["access_token"]).encode() not in collector.raw


def test_neither_an_address_that_is_asked_for_nor_the_text_of_an_error_is_in_a_span(
    serve: Callable[[ASGIApp], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))

    async def ask(endpoint: str) -> None:
        made = connection_from_config("marketo", {**credentials.MARKETO, "endpoint": endpoint, "max_attempts": 1})
        assert isinstance(made, MarketoConnection)
        async with Marketo(made) as marketo:
            async for _ in marketo.leads_by("email", ["ann@example.com"], ["id", "email"]):
                pass

    asyncio.run(ask(serve(made_app("marketo"))))
    with pytest.raises(CRMError):
        asyncio.run(ask("http://127.0.0.1:9"))
    spans = kept.get_finished_spans()
    assert {span.attributes["error.type"] for span in spans if span.attributes and "error.type" in span.attributes} == {"ConnectError"}
    text = "".join(span.to_json() for span in spans)
    assert "GET marketo account" in text
    assert "ann" not in text and "rest/v1" not in text and "connection attempts" not in text
    assert all(value not in text for value in credentials.MARKETO.values())
