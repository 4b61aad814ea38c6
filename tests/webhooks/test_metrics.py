"""The receiver's metrics, scraped over HTTP from its own process: what came, what was refused, what waits; on their own port alone."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import MAX_TRIES, Inbox
from cdp_pipelines.webhooks.metrics import ReceiverMetrics, published
from tests.webhooks.test_burst import receiver
from tests.webhooks.test_receiver import CHANGE, signed


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def samples(url: str) -> dict[tuple[str, ...], float]:
    """Name and label values -> value, of the answer to a scrape."""
    answer = httpx2.get(url, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_what_came_and_what_was_refused_is_counted_and_the_inbox_is_shown_as_it_is(tmp_path: Path) -> None:
    secret = credentials.HUBSPOT_CLIENT_SECRET
    port = free_port()
    with closing(Inbox(tmp_path / "inbox.sqlite")) as inbox:
        inbox.add([Event("marketo", "leads", str(n), "changed", datetime.now(UTC), f"m{n}") for n in range(4)])
        for _ in range(MAX_TRIES):
            inbox.failed([one.id for one in inbox.waiting()[:1]], "no answer")
    given = {"CDP_METRICS_PORT": str(port), "CDP_INBOX_MOST": "1000"}
    with receiver(tmp_path, **given) as (url, _, _), httpx2.Client(trust_env=False) as client:
        body = b"[" + b",".join(httpx2.Request("POST", url, json={**CHANGE, "objectId": 1246965 + n}).read() for n in range(3)) + b"]"
        post = f"{url}/webhooks/hubspot"
        headers = {"Content-Type": "application/json"}
        assert client.post(post, content=body, headers=headers | signed(post, body, secret)).status_code == 200
        assert client.post(post, content=body, headers=headers | signed(post, body, "another secret")).status_code == 503
        assert client.post(f"{url}/webhooks/ann@example.com", content=body, headers=headers).status_code == 404
        assert client.get(f"{url}/metrics").status_code == 404, "who may notify need not see them"
        found = samples(f"http://127.0.0.1:{port}/metrics")
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert found["cdp_webhook_events_received_total", "hubspot"] == 3
    assert found["cdp_webhook_events_received_total", "salesforce"] == 0
    refused = {tuple(labels): value for (name, *labels), value in found.items() if name == "cdp_webhook_calls_refused_total"}
    assert refused == {("hubspot", "wrong signature"): 1, ("", "unknown connection"): 1}
    assert found["cdp_webhook_handling_seconds_count", "hubspot"] == 2
    assert 0 < found["cdp_webhook_handling_seconds_sum", "hubspot"] < 30
    with closing(Inbox(tmp_path / "inbox.sqlite")) as inbox:
        status = inbox.status()["connections"]
    for name, one in status.items():
        assert (found["cdp_webhook_inbox_events", name, "waiting"], found["cdp_webhook_inbox_events", name, "dead"]) == (
            one["waiting"],
            one["dead"],
        )
        oldest = found["cdp_webhook_inbox_oldest_waiting_timestamp_seconds", name]
        assert oldest == pytest.approx(datetime.fromisoformat(one["oldest_waiting"]).timestamp())
        assert time.time() - oldest < 120
    assert status["marketo"]["dead"] == 1
    assert found[("cdp_webhook_inbox_room",)] == 1000 - 3 - 3
    assert not any(told in text for told in (secret, "ann@example.com", str(CHANGE["objectId"]), "no answer"))


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = published(ReceiverMetrics(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigError, match="CDP_METRICS_PORT cannot be used"), metrics:
            pass


def test_nothing_is_served_unless_a_port_is_set() -> None:
    assert Settings().metrics_port is None
    with published(ReceiverMetrics(), "127.0.0.1", None) as url:
        assert url is None
