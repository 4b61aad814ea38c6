"""The published file: one DuckDB database that analysts open, written beside and renamed, so that nobody ever waits for it or sees half."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cdp_pipelines import history, mapping
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings

SCHEMAS = ("standardized", "unified")

_SYNC_STATUS = """
create or replace table published.sync_status as
select * from warehouse.ops.table_syncs
where mode <> 'named'
qualify row_number() over (partition by connection, object order by started_at desc, ended_at desc) = 1
order by connection, object
"""
_DATA_QUALITY = """
create or replace table published.data_quality as
select * from warehouse.ops.check_results
qualify row_number() over (partition by table_name, name order by checked_at desc) = 1
order by table_name, name
"""
_EVENT_LAGS = """
create or replace table published.event_lags as
select * from warehouse.ops.event_lags
where published_at > (select max(published_at) from warehouse.ops.event_lags) - interval 7 day
order by published_at, connection
"""
_STATUS_COMMENTS = {
    "sync_status": "The newest sync of each table of each connection: what was read, until when, and what is incomplete and why.",
    "data_quality": "The newest result of each check.",
    "event_lags": "Of the last seven days, each run before this one that followed change notifications: seconds from change to published.",
}


@dataclass(frozen=True)
class Published:
    """The file that was written and the rows of each of its tables."""

    path: Path
    rows: dict[str, int]


def publish(settings: Settings) -> Published:
    """Write the standardized and unified tables, sync_status and data_quality to the published file. The caller holds the warehouse lock.

    Tables are in schema `main`. A unified table's second name would be taken there by a standardized table (`companies`), so it is a view
    in a schema `unified`.
    """
    with _beside(settings) as new:
        new.unlink(missing_ok=True)
        with _warehouse_and(settings, new) as db:
            tables = db.execute(
                "select schema_name, table_name, comment from duckdb_tables() where database_name = 'warehouse' and schema_name in (?, ?)",
                list(SCHEMAS),
            ).fetchall()
            for schema, table, comment in sorted(tables):
                db.execute(f'create table published."{table}" as from warehouse.{schema}."{table}"')
                _copy_comments(db, schema, table, comment)
            _name_twice(db, {table for schema, table, _ in tables if schema == "unified"})
            _write_status(db)
            rows = _count(db)
    return _written_down(settings, rows, "all tables")


def publish_status(settings: Settings) -> Published:
    """Renew only sync_status and data_quality, for a run that a blocking check stopped: the tables stay those of the last good run."""
    with _beside(settings) as new:
        if settings.published.exists():
            shutil.copyfile(settings.published, new)
        else:
            new.unlink(missing_ok=True)
        with _warehouse_and(settings, new) as db:
            _write_status(db)
            rows = _count(db)
    return _written_down(settings, rows, "status only")


def _written_down(settings: Settings, rows: dict[str, int], what: str) -> Published:
    record(settings, Operation("publish", settings.published.name, "ok", sum(rows.values()), {"what": what, "tables": len(rows)}))
    return Published(settings.published, rows)


class _beside:
    """A file beside the published one that takes its place when the block ends well."""

    def __init__(self, settings: Settings):
        self._target, self._mode = settings.published, settings.published_permissions
        self._new = self._target.with_name(f".{self._target.name}.{os.getpid()}.new")

    def __enter__(self) -> Path:
        return self._new

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            os.chmod(self._new, self._mode)
            with self._new.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._new, self._target)
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        else:
            self._new.unlink(missing_ok=True)
            self._new.with_name(f"{self._new.name}.wal").unlink(missing_ok=True)


def _warehouse_and(settings: Settings, new: Path) -> duckdb.DuckDBPyConnection:
    history.opened(settings).close()
    db = duckdb.connect()
    db.execute(f"attach '{_quoted(settings.warehouse)}' as warehouse (read_only)")
    db.execute(f"attach '{_quoted(new)}' as published")
    return db


def _write_status(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(_SYNC_STATUS)
    db.execute(_DATA_QUALITY)
    db.execute(_EVENT_LAGS)
    for table, comment in _STATUS_COMMENTS.items():
        db.execute(f"comment on table published.{table} is '{_quoted(comment)}'")


def _name_twice(db: duckdb.DuckDBPyConnection, published: set[str]) -> None:
    names = {table: spec.also_named for table, spec in mapping.load().unified.items() if spec.also_named and table in published}
    if names:
        db.execute("create schema published.unified")
    for table, name in names.items():
        db.execute(f'create view published.unified."{name}" as select * from main."{table}"')


def _copy_comments(db: duckdb.DuckDBPyConnection, schema: str, table: str, comment: str | None) -> None:
    """Table and column descriptions travel with the data, so that a client can show them."""
    if comment:
        db.execute(f"comment on table published.\"{table}\" is '{_quoted(comment)}'")
    columns = db.execute(
        "select column_name, comment from duckdb_columns() "
        "where database_name = 'warehouse' and schema_name = ? and table_name = ? and comment is not null",
        [schema, table],
    ).fetchall()
    for column, text in columns:
        db.execute(f'comment on column published."{table}"."{column}" is \'{_quoted(text)}\'')


def _count(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = [row[0] for row in db.execute("select table_name from duckdb_tables() where database_name = 'published'").fetchall()]
    rows = {table: db.execute(f'select count(*) from published."{table}"').fetchall()[0][0] for table in sorted(tables)}
    db.execute("checkpoint published")
    db.execute("detach published")
    return rows


def _quoted(text: object) -> str:
    return str(text).replace("'", "''")
