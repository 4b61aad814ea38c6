"""Polling in Dagster: a run for the connections that are due, and none while one reads them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import httpx2
import pytest
from starlette.types import ASGIApp

from cdp_pipelines import lag, publish
from cdp_pipelines.config import KINDS, Settings, connection_from_config
from cdp_pipelines.definitions import defs
from cdp_pipelines.defs.lag import real_time_lag
from cdp_pipelines.defs.policy import WHAT
from cdp_pipelines.defs.polling import poll_connections, polls_due
from cdp_pipelines.defs.publish import PUBLISHED
from cdp_pipelines.history import EventLag, opened, record_event_lags
from cdp_pipelines.sandbox import credentials, hosting
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import build_world
from cdp_pipelines.sync import sync
from cdp_pipelines.webhooks.inbox import Inbox, Place
from tests.sources.reconciled import app_of
from tests.test_polling import synced


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "t")
    return Settings()


def asked(instance: dg.DagsterInstance) -> Any:
    return polls_due(dg.build_sensor_context(instance=instance))


def test_the_sensor_asks_for_a_run_when_a_connection_is_due(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    with dg.DagsterInstance.ephemeral() as instance:
        assert "no connection" in str(asked(instance).skip_message).lower()
        monkeypatch.setenv("HUBSPOT_POLL_MINUTES", "50")
        synced(settings, 51)
        request = asked(instance)
        assert isinstance(request, dg.RunRequest)
        assert request.tags["connections"] == "hubspot"
        assert request.tags[WHAT] == "poll hubspot"
        synced(settings, 2)
        assert "The next connection is due at 20" in str(asked(instance).skip_message)


@pytest.mark.parametrize("job", ["sync", "reconcile", "full_sync", "poll_connections"])
def test_the_sensor_waits_for_a_run_that_reads_the_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch, job: str):
    monkeypatch.setenv("HUBSPOT_POLL_MINUTES", "5")
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(defs.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED)
        assert "under way" in str(asked(instance).skip_message)
        instance.delete_run(run.run_id)
        assert isinstance(asked(instance), dg.RunRequest)


def test_without_connections_nothing_is_polled_and_no_sandbox_is_started(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    with dg.DagsterInstance.ephemeral() as instance:
        assert "names no connection" in str(asked(instance).skip_message)


def test_the_check_of_lag_warns_and_says_what_to_do(settings: Settings):
    def found() -> dg.AssetCheckResult:
        result = real_time_lag()
        assert isinstance(result, dg.AssetCheckResult)
        return result

    assert (found().passed, found().description) == (True, "No events in the last day.")
    opened(settings).close()
    record_event_lags(settings, datetime.now(UTC), [EventLag("hubspot", 4, 400, 900)])
    synced(settings, 1)
    assert not found().passed
    assert found().severity == dg.AssetCheckSeverity.WARN
    assert str(found().description).startswith("hubspot: of 4 changes that it told in the last day, half were published within 7 min")
    assert "CDP_REAL_TIME_LAG_MINUTES" in str(found().description)


def test_a_poll_of_marketo_reads_its_log_and_leaves_what_it_names_to_the_run_that_follows_events(
    settings: Settings, serve: Callable[[ASGIApp], str], monkeypatch: pytest.MonkeyPatch
):
    world = build_world(people=20)
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    given = {**credentials.MARKETO, "endpoint": serve(app_of("marketo", store)), "poll_minutes": 5, "max_attempts": 1}
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    for name, value in given.items():
        monkeypatch.setenv(f"MARKETO_{name}".upper(), str(value))
    synced(settings, 30, "marketo", kind="marketo")
    store.edit_person(next(iter(store.live_people())), {"title": "New"}, datetime.now(UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(asked(instance), dg.RunRequest)
        assert poll_connections.execute_in_process(instance=instance).success
        assert "The next connection is due" in str(asked(instance).skip_message)
        monkeypatch.setenv("MARKETO_CLIENT_ID", "wrong")
        with closing(Inbox(settings.inbox)) as inbox:
            assert [waiting.event.object for waiting in inbox.waiting()] == ["leads"]
            inbox.add([], log=("marketo", Place("token", datetime.now(UTC) - timedelta(minutes=6))))
        failed = poll_connections.execute_in_process(instance=instance, raise_on_error=False)
        assert not failed.success
        (failure,) = [event for event in failed.all_events if event.is_step_failure]
        assert "MARKETO_CLIENT_ID" in str(failure.step_failure_data.error_display_string)


@pytest.mark.slow
def test_a_poll_reads_the_connection_that_is_due_and_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with hosting.child(Settings(data_dir=tmp_path / "sandbox", sandbox_people=40)) as (sandbox, _):
        for variable, value in {**sandbox.environment(), "HUBSPOT_POLL_MINUTES": "5", "CDP_DATA_DIR": str(tmp_path / "data")}.items():
            monkeypatch.setenv(variable, value)
        settings = Settings()
        assert sync(settings, [connection_from_config(kind, config) for kind, config in sandbox.connections().items()]).complete
        with opened(settings) as db:
            db.execute("update ops.table_syncs set started_at = started_at - interval 10 minute, cursor = cursor - interval 10 minute")
        publish.publish_status(settings)
        changed = httpx2.post(f"{sandbox.control_url}/sandbox/change", json={"seed": 1, "count": 40}, timeout=60).raise_for_status().json()
        # Of which no cursor tells, so that they stay until the next reconcile.
        purged = [change["id"] for change in changed["changes"] if (change["crm"], change["op"]) == ("hubspot", "purge")]
        with dg.DagsterInstance.ephemeral() as instance:
            assert isinstance(asked(instance), dg.RunRequest)
            result = poll_connections.execute_in_process(instance=instance, raise_on_error=False)
            assert result.success
            made = {event.materialization.asset_key for event in result.get_asset_materialization_events()}
            assert PUBLISHED in made
            assert {key.path[0] for key in made} == {"published", "raw_hubspot"}
            (check,) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(PUBLISHED, lag.CHECK), limit=5)
            assert check.status.value == "SUCCEEDED"
            assert isinstance(asked(instance), dg.SkipReason)
            assert not poll_connections.execute_in_process(instance=instance).get_asset_materialization_events(), "nothing is due any more"
        with duckdb.connect(str(settings.published), read_only=True) as db:
            lags = dict(db.execute("select connection, max(lag_seconds) from sync_status group by 1").fetchall())
            live = db.execute(
                "select count(*) from contacts where source_system = 'hubspot' and not is_deleted and not list_contains(?, customer_id)",
                [purged],
            ).fetchall()[0][0]
        assert live == httpx2.get(f"{sandbox.control_url}/sandbox/counts").json()["hubspot"]["contacts"]
        assert set(lags) == set(KINDS)
        assert lags["hubspot"] < 300
        assert min(lags["salesforce"], lags["marketo"]) >= 600
