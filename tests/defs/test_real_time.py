"""The sensor over the inbox: it asks for a run as soon as an event is there, and for one only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.defs import real_time
from cdp_pipelines.defs.policy import WHAT
from cdp_pipelines.defs.real_time import catch_up_with_events, inbox_events
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox


@pytest.fixture
def instance(tmp_path: Path, monkeypatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def look(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    found = inbox_events(dg.build_sensor_context(instance=instance))
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def tell(number: int) -> None:
    with closing(Inbox(Settings().inbox)) as inbox:
        inbox.add([Event("hubspot", "contacts", str(number), "changed", identity=str(number))])


def test_an_event_that_comes_while_the_sensor_looks_is_seen_at_once(instance, monkeypatch):
    assert "ever" in str(look(instance))
    tell(1)
    with closing(Inbox(Settings().inbox)) as inbox:
        inbox.done([1])
    monkeypatch.setattr(real_time, "LOOK_SECONDS", 0.2)
    assert "No event waits" in str(look(instance))
    monkeypatch.setattr(real_time, "LOOK_SECONDS", 60)
    threading.Timer(0.3, tell, [2]).start()
    assert isinstance(look(instance), dg.RunRequest)


def test_one_run_at_a_time_is_asked_for(instance):
    tell(1)
    first = look(instance)
    assert isinstance(first, dg.RunRequest)
    assert first.run_key
    assert first.tags[WHAT] == "follow 1 change notification"
    run = instance.create_run_for_job(catch_up_with_events, status=dg.DagsterRunStatus.STARTED)
    assert "under way" in str(look(instance))
    instance.report_run_failed(run)
    assert isinstance(look(instance), dg.RunRequest), "what a failed run left is asked for again"
