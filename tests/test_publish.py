"""The published file: what is in it, and that readers never wait, fail or see half."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines import history, publish
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.sources.report import TableReport

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    fill(settings, 10)
    return settings


def fill(settings: Settings, rows: int) -> None:
    """Two tables that must always have the same number of rows."""
    with history.opened(settings) as db:
        db.execute("create schema if not exists standardized; create schema if not exists unified; create schema if not exists raw_hubspot")
        db.execute(f"create or replace table standardized.contacts as select i as customer_id from range({rows}) t(i)")
        db.execute(f"create or replace table unified.customers as select i as customer_key from range({rows}) t(i)")
        db.execute(
            "comment on table standardized.contacts is 'It''s people'; comment on column standardized.contacts.customer_id is 'their id'"
        )
        db.execute("create or replace table raw_hubspot.contacts as select 'secret' as email")


def read(settings: Settings, sql: str) -> list[tuple]:
    with duckdb.connect(str(settings.published), read_only=True) as db:
        return db.execute(sql).fetchall()


def report(state: str, hours: int, **more) -> TableReport:
    at = NOW + timedelta(hours=hours)
    return TableReport("hubspot", "hubspot", "contacts", "full", at, at + timedelta(minutes=1), state, **more)


def test_standardized_and_unified_tables_are_published_and_raw_ones_are_not(settings):
    written = publish.publish(settings)
    assert {name: count for name, count in written.rows.items() if not name.startswith("quality.")} == {
        "contacts": 10, "customers": 10, "data_quality": 0, "event_lags": 0, "rejected_rows": 0, "sync_status": 0,
    }  # fmt: skip
    assert {name: count for name, count in written.rows.items() if name.startswith("quality.")} == {
        "quality.check_results": 0, "quality.field_changes": 0,
    }  # fmt: skip
    assert read(settings, "select distinct schema_name from duckdb_tables() order by 1") == [("main",), ("quality",)]


def test_a_second_name_is_a_view_in_a_schema_of_its_own(settings):
    with history.opened(settings) as db:
        db.execute("create table standardized.companies as select '001' as id")
        db.execute("create table unified.customer_companies as select 'k' as company_key")
    written = publish.publish(settings)
    assert set(written.rows) >= {"companies", "customer_companies"}
    assert read(settings, "select * from companies") == [("001",)]
    assert read(settings, "select * from unified.companies") == read(settings, "select * from customer_companies") == [("k",)]


def test_descriptions_travel_with_the_tables(settings):
    publish.publish(settings)
    assert read(settings, "select comment from duckdb_tables() where table_name = 'contacts'") == [("It's people",)]
    assert read(settings, "select comment from duckdb_columns() where column_name = 'customer_id'") == [("their id",)]


def test_sync_status_is_the_newest_of_each_table(settings):
    history.record_syncs(settings, [report("ok", 0, cursor=NOW), report("incomplete", 1, problem="no permission")])
    publish.publish(settings)
    assert read(settings, "select state, problem, started_at from sync_status") == [
        ("incomplete", "no permission", datetime(2026, 7, 1, 13))
    ]


def test_data_quality_is_the_newest_of_each_check(settings):
    for hours, passed in ((0, True), (1, False)):
        result = CheckResult("no_rows_lost", "contacts", passed, True, 3, "Nothing lost.", "Look.", ["hubspot:1"])
        history.record_checks(settings, NOW + timedelta(hours=hours), [result])
    publish.publish(settings)
    assert read(settings, "select passed, failed_rows, sample_keys from data_quality") == [(False, 3, ["hubspot:1"])]


def test_a_stopped_run_renews_the_status_and_leaves_the_tables(settings):
    publish.publish(settings)
    fill(settings, 99)
    history.record_syncs(settings, [report("incomplete", 0, problem="no permission")])
    publish.publish_status(settings)
    assert read(settings, "select count(*) from contacts") == [(10,)]
    assert read(settings, "select problem from sync_status") == [("no permission",)]


def test_a_publication_that_fails_leaves_the_old_file_and_no_litter(settings, monkeypatch):
    publish.publish(settings)
    monkeypatch.setattr(publish, "_count", lambda db: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish.publish(settings)
    assert read(settings, "select count(*) from contacts") == [(10,)]
    assert sorted(p.name for p in settings.data_dir.iterdir() if p.is_file()) == ["cdp.duckdb", "cdp_masked.duckdb", "warehouse.duckdb"]


BEFORE = """
create schema ops;
create table ops.table_syncs (
    connection varchar not null, source_system varchar not null, object varchar not null, mode varchar not null, state varchar not null,
    problem varchar, remedy varchar, started_at timestamp not null, ended_at timestamp not null, cursor timestamp, rows_read bigint not null,
    rows_inserted bigint not null, rows_updated bigint not null, rows_deleted bigint not null, rows_total bigint not null, calls bigint not null
);
insert into ops.table_syncs values
    ('hubspot', 'hubspot', 'contacts', 'full', 'ok', null, null, '2026-06-01', '2026-06-01', '2026-06-01', 7, 7, 0, 0, 7, 3);
"""


def test_a_warehouse_of_the_version_before_goes_on_with_its_history(tmp_path):
    settings = Settings(data_dir=tmp_path / "old")
    settings.data_dir.mkdir()
    with duckdb.connect(str(settings.warehouse)) as db:
        db.execute(BEFORE)
    publish.publish_status(settings)
    query = "select rows_read, calls, rows_rejected, calls_left, calls_allowed from sync_status"
    assert read(settings, query) == [(7, 3, 0, None, None)]
    history.record_syncs(settings, [report("ok", 0, rows_read=2, calls=5, calls_left=90, calls_allowed=100)])
    publish.publish_status(settings)
    assert read(settings, query) == [(2, 5, 0, 90, 100)]
    assert read(settings, "select count(*) from rejected_rows") == [(0,)]


READER = """
import sys, duckdb
print("ready", flush=True)
opened = 0
while not sys.stdin.closed and opened < 100000:
    with duckdb.connect(sys.argv[1], read_only=True) as db:
        people, customers = db.execute("select (select count(*) from contacts), (select count(*) from customers)").fetchone()
    assert people == customers, (people, customers)
    opened += 1
    import select
    if select.select([sys.stdin], [], [], 0)[0]:
        break
print(opened, flush=True)
"""


def test_readers_that_never_stop_neither_block_nor_fail_nor_see_half(settings):
    publish.publish(settings)
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, str(settings.published)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    ends, published = time.monotonic() + 4, 0
    while time.monotonic() < ends:
        fill(settings, 1000 + published)
        publish.publish(settings)
        published += 1
    opened = [int(reader.communicate("stop")[0]) for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert published >= 3
    assert min(opened) > published


def test_a_reader_with_the_old_file_open_keeps_its_rows(settings):
    publish.publish(settings)
    with duckdb.connect(str(settings.published), read_only=True) as old:
        assert old.execute("select count(*) from contacts").fetchall() == [(10,)]
        fill(settings, 25)
        publish.publish(settings)
        assert old.execute("select count(*) from contacts").fetchall() == [(10,)]
    assert read(settings, "select count(*) from contacts") == [(25,)]
