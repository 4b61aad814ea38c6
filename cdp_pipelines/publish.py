"""The published file: one DuckDB database that analysts open, written beside and renamed, so that nobody ever waits for it or sees half."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from cdp_pipelines import database, history, metrics, second_names, status_tables
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
from cdp_pipelines.history import EventLag
from cdp_pipelines.masking import Masked, mask
from cdp_pipelines.private_files import replaced
from cdp_pipelines.quality import publishing

SCHEMAS = ("standardized", "unified")

_NEWEST = """
select * from warehouse.ops.table_syncs
where mode <> 'named'
qualify row_number() over (partition by connection, object order by started_at desc, ended_at desc) = 1
"""
# The lag of a day's events is that of its runs, each counting as many times as it had events: the tables keep no single event.
_SYNC_STATUS = f"""
create or replace table published.sync_status as
with newest as ({_NEWEST}),
runs as (
    select
        *, sum(events) over (partition by connection) as all_events,
        sum(events) over (partition by connection order by median_seconds) as up_to_median,
        sum(events) over (partition by connection order by p95_seconds) as up_to_p95
    from published.event_lags
    where published_at > $now - interval 1 day
),
events as (
    select
        connection, any_value(all_events)::bigint as events_last_day,
        min(median_seconds) filter (where up_to_median >= 0.5 * all_events) as event_lag_median_seconds,
        min(p95_seconds) filter (where up_to_p95 >= 0.95 * all_events) as event_lag_p95_seconds
    from runs
    group by connection
)
select
    newest.*, seen.until as seen_until, epoch($now - seen.until) as lag_seconds, coalesce(events_last_day, 0) as events_last_day,
    event_lag_median_seconds, event_lag_p95_seconds
from newest
left join seen using (connection, object)
left join events using (connection)
order by connection, object
"""
_DATA_QUALITY = """
create or replace table published.data_quality as
select * from warehouse.ops.check_results
qualify row_number() over (partition by table_name, name order by checked_at desc) = 1
order by table_name, name
"""
_REJECTED_ROWS = f"""
create or replace table published.rejected_rows as
select connection, object, reason, sum(rows)::bigint as rows, list_distinct(flatten(list(example_keys)))[:10] as example_keys, max(started_at) as last_at
from ({history.REJECTED_SINCE_READ_WHOLE.format(ops="warehouse.ops")})
group by all
order by connection, object, reason
"""
_EVENT_LAGS = """
create or replace table published.event_lags as
select * from warehouse.ops.event_lags
where published_at > (select max(published_at) from warehouse.ops.event_lags) - interval 7 day
order by published_at, connection
"""


@dataclass(frozen=True)
class Published:
    """The file that was written, the rows of each of its tables, when, how long the changes took that notifications told of, and the
    masked file that was written after it."""

    path: Path
    rows: dict[str, int]
    at: datetime
    lags: list[EventLag]
    masked: Masked | None = None


def publish(settings: Settings, told: Mapping[str, Sequence[datetime]] | None = None) -> Published:
    """Write the standardized and unified tables, sync_status, rejected_rows, data_quality and schema `quality` to the published file, and the masked file
    after it. The caller holds the warehouse lock.

    `told` is, by connection, when the changes were that notifications told of and that this file is the first to have.

    Tables are in schema `main`. A unified table's second name would be taken there by a standardized table (`companies`), so it is a view
    in a schema `unified`.
    """
    with _beside(settings) as new:
        new.unlink(missing_ok=True)
        with _warehouse_and(settings, new) as db:
            # One transaction: each of the hundreds of descriptions would be written to the disk on its own.
            db.execute("begin")
            tables = db.execute(
                "select schema_name, table_name, comment from duckdb_tables() where database_name = 'warehouse' and schema_name in (?, ?)",
                list(SCHEMAS),
            ).fetchall()
            for schema, table, comment in sorted(tables):
                db.execute(f'create table published."{table}" as from warehouse.{schema}."{table}"')
                _copy_comments(db, schema, table, comment)
            second_names.add(db, "published", {table for schema, table, _ in tables if schema == "unified"})
            db.execute(f"create temp table seen as select connection, object, cursor as until from ({_NEWEST})")
            now = datetime.now(UTC)
            lags = history.lags_of(told or {}, now)
            _write_status(db, now, lags)
            publishing.write(db, whole=True)
            db.execute("commit")
            rows = _count(db)
    return _written_down(settings, Published(settings.published, rows, now, lags, mask(settings)), "all tables")


def publish_status(settings: Settings) -> Published:
    """Renew only sync_status, rejected_rows, data_quality, event_lags and the histories of quality, for a run that a blocking check stopped: the
    tables stay those of the last
    good run, and so does until when they have the changes."""
    with _beside(settings) as new:
        if settings.published.exists():
            shutil.copyfile(settings.published, new)
        else:
            new.unlink(missing_ok=True)
        with _warehouse_and(settings, new) as db:
            db.execute("begin")
            _remember_what_is_seen(db)
            now = datetime.now(UTC)
            _write_status(db, now, [])
            publishing.write(db, whole=False)
            db.execute("commit")
            rows = _count(db)
    return _written_down(settings, Published(settings.published, rows, now, [], mask(settings)), "status only")


def _written_down(settings: Settings, written: Published, what: str) -> Published:
    about = {"what": what, "tables": len(written.rows), "masked": written.masked is not None}
    metrics.renew(settings)
    record(settings, Operation("publish", written.path.name, "ok", sum(written.rows.values()), about))
    return written


@contextmanager
def _beside(settings: Settings) -> Generator[Path]:
    """A file beside the published one that takes its place when the block ends well."""
    with replaced(settings.published, mode=settings.published_permissions) as new:
        try:
            yield new
        finally:
            new.with_name(f"{new.name}.wal").unlink(missing_ok=True)


def _warehouse_and(settings: Settings, new: Path) -> duckdb.DuckDBPyConnection:
    history.opened(settings).close()
    db = database.in_memory(settings)
    database.attach(settings, db, settings.warehouse, "warehouse", read_only=True)
    database.attach(settings, db, new, "published")
    return db


def _remember_what_is_seen(db: duckdb.DuckDBPyConnection) -> None:
    """Until when the tables of the file as it is have each object's changes; nothing where there is none yet."""
    columns = db.execute("select column_name from duckdb_columns() where database_name = 'published' and table_name = 'sync_status'")
    there = ("seen_until",) in columns.fetchall()
    before = (
        "connection, object, seen_until as until from published.sync_status"
        if there
        else "'' as connection, '' as object, null::timestamp as until limit 0"
    )
    db.execute(f"create temp table seen as select {before}")


def _write_status(db: duckdb.DuckDBPyConnection, now: datetime, lags: Sequence[EventLag]) -> None:
    moment = now.replace(tzinfo=None)
    db.execute(_DATA_QUALITY)
    db.execute(_EVENT_LAGS)
    db.execute(_REJECTED_ROWS)
    for one in lags:
        values = [moment, one.connection, one.events, one.median, one.p95]
        db.execute("insert into published.event_lags values (?, ?, ?, ?, ?)", values)
    db.execute(_SYNC_STATUS, {"now": moment})
    status_tables.describe(db, "published")


def _copy_comments(db: duckdb.DuckDBPyConnection, schema: str, table: str, comment: str | None) -> None:
    """Table and column descriptions travel with the data, so that a client can show them."""
    if comment:
        db.execute(f"comment on table published.\"{table}\" is '{database.quoted(comment)}'")
    columns = db.execute(
        "select column_name, comment from duckdb_columns() "
        "where database_name = 'warehouse' and schema_name = ? and table_name = ? and comment is not null",
        [schema, table],
    ).fetchall()
    for column, text in columns:
        db.execute(f'comment on column published."{table}"."{column}" is \'{database.quoted(text)}\'')


def _count(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = db.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'published' order by schema_name, table_name"
    )
    rows = {}
    for schema, table in tables.fetchall():
        name = table if schema == "main" else f"{schema}.{table}"
        rows[name] = db.execute(f'select count(*) from published."{schema}"."{table}"').fetchall()[0][0]
    db.execute("checkpoint published")
    db.execute("detach published")
    return rows
