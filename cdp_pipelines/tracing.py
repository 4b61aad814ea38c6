"""Traces for OpenTelemetry: a span for each connection's read, and in it one for each call.

Here is only the API, which does nothing until somebody sets an exporter up: `opentelemetry-instrument cdp sync` does (docs/monitoring.md). A
span has no path, query or text of an error: these hold addresses of people, ids, and once (a header that cannot be sent) a token. That is why
the calls are not left to a library that watches all of HTTP.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

_tracer = trace.get_tracer("cdp_pipelines")


@contextmanager
def traced(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int) -> Generator[Span]:
    """A span for as long as the block lasts. Of an error it has the class alone; `__` in an attribute's name stands for a dot."""
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    with _tracer.start_as_current_span(name, kind=kind, attributes=given, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except Exception as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            raise
