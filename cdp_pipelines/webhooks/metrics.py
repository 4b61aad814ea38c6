"""What the receiver tells Prometheus: events and calls as they come, and what waits in the inbox when it asks. Names and numbers alone.

Served on a port of its own (`CDP_METRICS_PORT`), never on the one that vendors call: whoever may send notifications need not know how many
others do.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cdp_pipelines.config import ConfigError
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.webhooks.inbox import read_status

# An answer takes milliseconds; a vendor gives up after five (HubSpot) to sixty seconds.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ReceiverMetrics:
    """Counts of one receiver. Labels are names of connections and reasons of our own, never what a caller sent."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("cdp_webhook_events_received", "Events taken, on disk.", ["connection"], registry=self.registry)
        self._refused = Counter(
            "cdp_webhook_calls_refused", "Calls refused; connection is empty where the address named none.", ["connection", "reason"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "cdp_webhook_handling_seconds",
            "From the head of a call to its answer.",
            ["connection"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def expect(self, connections: Iterable[str]) -> None:
        """Show a connection's events before any has come, so that a rate has a beginning."""
        for name in connections:
            self._events.labels(name)

    @contextmanager
    def handling(self, connection: str) -> Generator[None]:
        """Time a call."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.labels(connection).observe(time.perf_counter() - began)

    def took(self, connection: str, events: int) -> None:
        """Count events that are on the disk."""
        self._events.labels(connection).inc(events)

    def refused(self, connection: str, reason: str) -> None:
        """Count a refused call."""
        self._refused.labels(connection, reason).inc()

    def watch(self, inbox: Path, most: int, sealer: Sealer) -> None:
        """Tell of an inbox too, as it is whenever somebody asks."""
        self.registry.register(_InboxCollector(inbox, most, sealer))


class _InboxCollector(Collector):
    def __init__(self, path: Path, most: int, sealer: Sealer):
        self._path, self._most, self._sealer = path, most, sealer

    def collect(self) -> Iterator[Metric]:
        """What waits, what was given up, and how much room is left."""
        found = (read_status(self._path, self._sealer) or {"connections": {}})["connections"]
        events = GaugeMetricFamily("cdp_webhook_inbox_events", "Events in the inbox.", labels=["connection", "state"])
        oldest = GaugeMetricFamily(
            "cdp_webhook_inbox_oldest_waiting_timestamp_seconds", "When the oldest event that waits came.", labels=["connection"]
        )
        for name, one in found.items():
            for state in ("waiting", "dead"):
                events.add_metric([name, state], one[state])
            if one["oldest_waiting"]:
                oldest.add_metric([name], datetime.fromisoformat(one["oldest_waiting"]).timestamp())
        room = GaugeMetricFamily("cdp_webhook_inbox_room", "Events that may still come before callers are told to wait.")
        room.add_metric([], self._most - sum(one["waiting"] for one in found.values()))
        yield from (events, oldest, room)


@contextmanager
def published(metrics: ReceiverMetrics, host: str, port: int | None) -> Generator[str | None]:
    """Serve the metrics at /metrics for as long as the block lasts, and give their address; nothing is served without a port.

    Raises ConfigError when the port cannot be used.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        problem = f"cannot be used: {host}:{port}: {error.strerror}"
        raise ConfigError("CDP_METRICS_PORT", problem, "Set another one, or end what listens there.") from None
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
