"""How late changes are: in the published file, in `cdp status`, and in the check."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp_pipelines import history, lag, publish, status
from cdp_pipelines.config import Connection, Settings, connection_from_config
from cdp_pipelines.sources.report import TableReport
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox, Place

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def read(settings: Settings, sql: str) -> list[tuple]:
    with duckdb.connect(str(settings.published), read_only=True) as db:
        return db.execute(sql).fetchall()


def synced(settings: Settings, table: str, minutes_ago: float, *, connection: str = "hubspot", **more: Any) -> None:
    """A table was read until a minute before its sync ended."""
    at = NOW - timedelta(minutes=minutes_ago)
    given: dict[str, Any] = {"state": "ok", "problem": None, "cursor": at - timedelta(minutes=1), **more}
    history.record_syncs(settings, [TableReport(connection, "hubspot", table, "incremental", at, at, **given)])


def ago(*seconds: float) -> list[datetime]:
    return [datetime.now(UTC) - timedelta(seconds=one) for one in seconds]


def hubspot(**more: Any) -> Connection:
    return connection_from_config("hubspot", {"access_token": "t", **more})


def test_a_table_is_as_late_as_what_was_read_of_it_when_it_was_published(settings: Settings):
    synced(settings, "contacts", 30)
    synced(settings, "deals", 10, state="incomplete", problem="no permission", cursor=None)
    publish.publish(settings)
    (contacts, deals) = read(settings, "select seen_until, lag_seconds from sync_status order by object")
    assert contacts[0] == (NOW - timedelta(minutes=31)).replace(tzinfo=None)
    assert 31 * 60 <= contacts[1] <= (datetime.now(UTC) - NOW).total_seconds() + 31 * 60
    assert deals == (None, None)


def test_what_a_stopped_run_has_read_is_not_yet_seen(settings: Settings):
    synced(settings, "contacts", 30)
    publish.publish(settings)
    synced(settings, "contacts", 5)
    publish.publish_status(settings)
    ((cursor, seen, late),) = read(settings, "select cursor, seen_until, lag_seconds from sync_status")
    assert (cursor - seen).total_seconds() == 25 * 60
    assert late >= 31 * 60
    assert status.read(settings)["connections"]["hubspot"]["objects"]["contacts"]["lag_seconds"] >= 31 * 60
    publish.publish(settings)
    assert read(settings, "select cursor = seen_until from sync_status") == [(True,)]


def test_before_the_first_publication_nothing_is_seen(settings: Settings):
    synced(settings, "contacts", 5)
    publish.publish_status(settings)
    assert read(settings, "select seen_until, lag_seconds from sync_status") == [(None, None)]


def test_the_published_file_has_the_lag_of_the_changes_that_it_is_the_first_to_show(settings: Settings):
    synced(settings, "contacts", 1)
    written = publish.publish(settings, {"hubspot": ago(10, 20, 30), "salesforce": []})
    (one,) = written.lags
    assert (one.connection, one.events) == ("hubspot", 3)
    assert 20 <= one.median < 25
    assert 30 <= one.p95 < 35
    assert read(settings, "select events, median_seconds from event_lags") == [(3, one.median)]
    assert read(settings, "select events_last_day, event_lag_median_seconds, event_lag_p95_seconds from sync_status") == [(3, one.median, one.p95)]  # fmt: skip
    history.record_event_lags(settings, written.at, written.lags)
    publish.publish(settings)
    assert read(settings, "select events from event_lags") == [(3,)], "once, and still there"


def test_a_days_lag_weighs_its_runs_by_their_events(settings: Settings):
    synced(settings, "contacts", 1)
    for hours, events, median, p95 in ((1, 90, 10, 20), (2, 8, 60, 100), (3, 2, 600, 900), (25, 1000, 5000, 5000)):
        history.record_event_lags(settings, NOW - timedelta(hours=hours), [history.EventLag("hubspot", events, median, p95)])
    publish.publish(settings)
    assert read(settings, "select events_last_day, event_lag_median_seconds, event_lag_p95_seconds from sync_status") == [(100, 10, 100)]


def test_the_columns_of_lag_say_what_they_are(settings: Settings):
    publish.publish(settings)
    told = dict(read(settings, "select column_name, comment from duckdb_columns() where table_name = 'sync_status'"))
    assert "in this file for sure" in told["seen_until"]
    assert all(told[name] for name in ("lag_seconds", "events_last_day", "event_lag_median_seconds", "event_lag_p95_seconds"))


def test_the_check_passes_where_nothing_was_told(settings: Settings):
    found = lag.check(settings, [hubspot()], NOW)
    assert (found.passed, found.description) == (True, "No events in the last day.")
    synced(settings, "contacts", 300)
    publish.publish(settings)
    found = lag.check(settings, [hubspot()], NOW)
    assert (found.passed, found.description) == (True, "No events in the last day.")


def test_the_check_says_how_fast_changes_were_and_which_connection_is_too_slow(settings: Settings):
    synced(settings, "contacts", 1)
    written = publish.publish(settings, {"hubspot": ago(*[12.0] * 20)})
    found = lag.check(settings, [], NOW)
    assert found.passed
    assert found.description == "hubspot: of 20 changes that it told in the last day, half were published within 12 s and 95 % within 12 s."
    history.record_event_lags(settings, written.at, written.lags)
    publish.publish(settings, {"hubspot": ago(*[720.0] * 5)})
    found = lag.check(settings, [], NOW)
    assert (found.passed, found.blocking, found.sample_keys) == (False, False, ["hubspot"])
    assert found.description.startswith(
        "hubspot: of 25 changes that it told in the last day, half were published within 12 s and 95 % within 12 min"
    )
    assert "the limit is 5 min" in found.description
    assert "`catch_up_with_events`" in found.remedy
    assert lag.check(settings.model_copy(update={"real_time_lag_minutes": 15}), [], NOW).passed


def test_the_check_sees_notifications_that_nobody_follows(settings: Settings):
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([Event("hubspot", "contacts", "1", "changed", identity="a")], NOW - timedelta(minutes=4))
        assert lag.check(settings, [], NOW).passed
        inbox.add([Event("hubspot", "contacts", "2", "changed", identity="b")], NOW - timedelta(minutes=9))
    found = lag.check(settings, [], NOW)
    assert not found.passed
    assert found.description == "hubspot: 2 notifications wait, the first of them for 9 min; the limit is 5 min."
    assert "daemon" in found.remedy


def test_the_check_sees_polls_that_do_not_keep_up(settings: Settings):
    synced(settings, "contacts", 11)
    publish.publish(settings)
    assert lag.check(settings, [hubspot(poll_minutes=10)], NOW).passed
    assert lag.check(settings, [hubspot()], NOW + timedelta(hours=3)).passed, "it is not polled"
    found = lag.check(settings, [hubspot(poll_minutes=10)], NOW + timedelta(minutes=10))
    assert not found.passed
    assert found.description.startswith(
        "hubspot: it is polled every 10 min, but what changed in the last 22 min is not in the published file"
    )
    assert "`poll_connections`" in found.remedy


def test_a_log_that_is_read_in_time_is_no_poll_that_is_late(settings: Settings):
    synced(settings, "contacts", 40)
    publish.publish(settings)
    assert not lag.check(settings, [hubspot(poll_minutes=10)], NOW).passed
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([], log=("hubspot", Place("token", NOW - timedelta(minutes=9))))
        assert lag.check(settings, [hubspot(poll_minutes=10)], NOW).passed
        inbox.add([], log=("hubspot", Place("token", NOW - timedelta(minutes=16))))
    assert not lag.check(settings, [hubspot(poll_minutes=10)], NOW).passed


def test_events_that_are_taken_again_do_not_count_as_late(settings: Settings):
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([Event("hubspot", "contacts", "1", "changed", NOW - timedelta(days=1), "a")])
        (one,) = inbox.waiting()
        assert one.event.occurred_at == NOW - timedelta(days=1)
        inbox.done([one.id])
        assert inbox.replay(connection="hubspot") == 1
        assert [waiting.event.occurred_at for waiting in inbox.waiting()] == [None]
