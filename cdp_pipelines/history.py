"""What ran and what it found: the outcome of every table's sync and of every check, kept in the warehouse's `ops` schema."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb

from cdp_pipelines import database
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.private_files import make_private
from cdp_pipelines.sources.report import TableReport

_TABLES = """
create schema if not exists ops;
create table if not exists ops.table_syncs (
    connection varchar not null, source_system varchar not null, object varchar not null, mode varchar not null, state varchar not null,
    problem varchar, remedy varchar, started_at timestamp not null, ended_at timestamp not null, cursor timestamp, rows_read bigint not null,
    rows_inserted bigint not null, rows_updated bigint not null, rows_deleted bigint not null, rows_total bigint not null, calls bigint not null
);
alter table ops.table_syncs add column if not exists rows_rejected bigint default 0;
alter table ops.table_syncs add column if not exists calls_left bigint;
alter table ops.table_syncs add column if not exists calls_allowed bigint;
create table if not exists ops.rejected_rows (
    started_at timestamp not null, connection varchar not null, object varchar not null, mode varchar not null, reason varchar not null,
    rows bigint not null, example_keys varchar[] not null
);
create table if not exists ops.event_lags (
    published_at timestamp not null, connection varchar not null, events bigint not null, median_seconds double not null, p95_seconds double not null
);
create table if not exists ops.field_changes (
    told_at timestamp not null, connection varchar not null, source_system varchar not null, object varchar not null, change varchar not null,
    field varchar not null, detail varchar not null
);
create table if not exists ops.whole_build (models varchar not null);
create table if not exists ops.connections (connection varchar primary key, kind varchar not null, host varchar not null);
create table if not exists ops.check_results (
    checked_at timestamp not null, name varchar not null, table_name varchar not null, passed boolean not null, blocking boolean not null,
    failed_rows bigint not null, description varchar, remedy varchar, sample_keys varchar[]
);
"""
_SYNC_COLUMNS = (
    "connection, source_system, object, mode, state, problem, remedy, started_at, ended_at, cursor, rows_read, rows_inserted, rows_updated, "
    "rows_deleted, rows_total, calls, rows_rejected, calls_left, calls_allowed"
)
REJECTED_SINCE_READ_WHOLE = """
select rejected.* from {ops}.rejected_rows as rejected
left join (
    select connection, object, max(started_at) as read_whole from {ops}.table_syncs where mode = 'full' and state = 'ok' group by all
) using (connection, object)
where started_at >= coalesce(read_whole, started_at)
"""
"""What was rejected and may still be missing, as a query of the schema `ops`: a later sync that reads only what changed does not read it again."""


# A change is found again by every read until one ends that describes the table as a whole.
_CHANGE = """
insert into ops.field_changes
select * from (select $1::timestamp as told_at, $2 as connection, $3, $4 as object, $5 as change, $6 as field, $7 as detail) as new
where not exists (
    select 1 from ops.field_changes as old
    where old.connection = new.connection and old.object = new.object and old.change = new.change and old.field = new.field
    and old.detail = new.detail and old.told_at > new.told_at - interval 1 day
)
"""


@dataclass
class CheckResult:
    """What one check found. `sample_keys` are up to ten `connection:id` keys of failing rows; never values."""

    name: str
    table: str
    passed: bool
    blocking: bool
    failed_rows: int
    description: str
    remedy: str = ""
    sample_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class EventLag:
    """How long the changes of a connection that one run followed took, from the CRM to the published file, in seconds."""

    connection: str
    events: int
    median: float
    p95: float


def lags_of(told: Mapping[str, Sequence[datetime]], published_at: datetime) -> list[EventLag]:
    """From when the changes of each connection were, how long they took to be published."""
    return [_lag(name, [(published_at - moment).total_seconds() for moment in moments]) for name, moments in told.items() if moments]


def _lag(connection: str, seconds: list[float]) -> EventLag:
    return EventLag(connection, len(seconds), statistics.median(seconds), p95(seconds))


def p95(values: Sequence[float]) -> float:
    """The smallest of the values that 95 % of them do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * 0.95) - 1, 0)]


def claim(settings: Settings, connection: Connection) -> str | None:
    """Note where this connection's records come from, once. Gives the other host when they came from another one until now."""
    with opened(settings) as db:
        known = db.execute("select kind || ' on ' || host from ops.connections where connection = ?", [connection.name]).fetchall()
        if not known:
            db.execute("insert into ops.connections values (?, ?, ?)", [connection.name, connection.kind, connection.host])
            return None
    return known[0][0] if known[0][0] != f"{connection.kind} on {connection.host}" else None


def record_syncs(settings: Settings, reports: Iterable[TableReport]) -> None:
    """Append the outcomes of some tables, what of them was rejected, and what became of their fields. The caller holds the warehouse lock."""
    reports = list(reports)
    rows = [
        (r.connection, r.kind, r.table, r.mode, r.state, r.problem, r.remedy, _utc(r.started_at), _utc(r.ended_at or r.started_at),
         _utc(r.cursor) if r.cursor else None, r.rows_read, r.rows_inserted, r.rows_updated, r.rows_deleted, r.rows_total, r.calls,
         r.rows_rejected, r.calls_left, r.calls_allowed)
        for r in reports
    ]  # fmt: skip
    rejected = [
        (_utc(r.started_at), r.connection, r.table, r.mode, reason, found.rows, found.keys)
        for r in reports
        for reason, found in r.rejected.items()
    ]
    with opened(settings) as db:
        db.begin()
        # By name: in a warehouse of an earlier version the newer columns come last.
        _insert(db, f"ops.table_syncs ({_SYNC_COLUMNS})", rows)
        _insert(db, "ops.rejected_rows", rejected)
        for told in reports:
            for one in told.changes:
                moment = _utc(told.ended_at or told.started_at)
                db.execute(_CHANGE, [moment, told.connection, told.kind, told.table, one.change, one.field, one.detail])
        db.commit()


def raw_tables_change(settings: Settings) -> str | None:
    """Note that raw tables are about to change. Gives the version of the models that were all built from the raw tables as they were until
    now (see `all_built`); None where some were not. The caller holds the warehouse lock."""
    with opened(settings) as db:
        return next((version for (version,) in db.execute("delete from ops.whole_build returning models").fetchall()), None)


def all_built(settings: Settings, models: str) -> None:
    """Note that all models, in this version, are built from the raw tables as they are. The caller holds the warehouse lock."""
    with opened(settings) as db:
        db.execute("delete from ops.whole_build")
        db.execute("insert into ops.whole_build values (?)", [models])


def record_event_lags(settings: Settings, published_at: datetime, lags: Iterable[EventLag]) -> None:
    """Append how long a run's events took. The caller holds the warehouse lock."""
    with opened(settings) as db:
        for lag in lags:
            values = [_utc(published_at), lag.connection, lag.events, lag.median, lag.p95]
            db.execute("insert into ops.event_lags values (?, ?, ?, ?, ?)", values)


def record_checks(settings: Settings, checked_at: datetime, results: Iterable[CheckResult]) -> None:
    """Append what some checks found. The caller holds the warehouse lock."""
    rows = [
        (_utc(checked_at), r.name, r.table, r.passed, r.blocking, r.failed_rows, r.description, r.remedy, r.sample_keys) for r in results
    ]
    with opened(settings) as db:
        _insert(db, "ops.check_results", rows)


def opened(settings: Settings) -> duckdb.DuckDBPyConnection:
    """The warehouse, with the history's tables in place. Close it, or use it in a `with` block."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    db = database.connect(settings, settings.warehouse)
    make_private(settings.warehouse)
    db.execute(_TABLES)
    return db


def _insert(db: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Append rows in one statement: DuckDB takes milliseconds for each of `executemany`."""
    if rows:
        places = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
        db.execute(f"insert into {table} values {places}", [value for row in rows for value in row])


def _utc(moment: datetime) -> datetime:
    """DuckDB's `timestamp` has no zone; all of ours are UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
