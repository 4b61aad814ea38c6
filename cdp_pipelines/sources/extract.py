"""Extract one connection into the raw tables: a Reader becomes a dlt source, and each table's outcome is written down.

Safe against a stop at any moment: dlt's working directory is scratch, cursors live beside the data in the warehouse and move with the
load that they belong to. A table that fails keeps its cursor and does not stop the others.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
from dlt.extract import DltResource, DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from cdp_pipelines import mapping
from cdp_pipelines.config import Connection, Kind, Settings
from cdp_pipelines.crm_integrations.base_crm import AuthenticationError, CRMError, QuotaExhausted, Unreachable
from cdp_pipelines.crm_integrations.http import purpose
from cdp_pipelines.sources.columns import arrow_schema, as_text, assign_columns, column_name
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, Mode, RawTable, Reader, Span
from cdp_pipelines.sources.streaming import EventLoopThread, Stream

log = logging.getLogger(__name__)

CONNECTION, SYNCED_AT = "connection", "_synced_at"
# Rows of one Arrow table handed to dlt: large enough that its cost a table vanishes, small enough for little memory.
ROWS_AT_ONCE = 10_000

CONCERNS_ALL_TABLES = (AuthenticationError, Unreachable, QuotaExhausted)

Progress = Callable[[str, str, int], None]
"""Called with (connection, table, rows read so far)."""


@dataclass
class TableReport:
    """What happened to one raw table of one connection. `state` is `ok` or `incomplete`; then `problem` and `remedy` say why."""

    connection: str
    kind: str
    table: str
    mode: Mode
    started_at: datetime
    ended_at: datetime | None = None
    state: str = "incomplete"
    problem: str | None = "stopped before it ended"
    remedy: str | None = "Run the same command again."
    cursor: datetime | None = None
    rows_read: int = 0
    rows_deleted: int = 0
    rows_inserted: int = 0
    rows_total: int = 0
    calls: int = 0

    @property
    def rows_updated(self) -> int:
        """Rows read that were there before (deletions left out)."""
        return max(self.rows_read - self.rows_deleted - self.rows_inserted, 0)


@dataclass
class ExtractReport:
    """What happened to one connection: its tables, the calls it took, and what a person should know."""

    connection: str
    kind: str
    tables: list[TableReport] = field(default_factory=list)
    calls: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every table was read to its end."""
        return all(t.state == "ok" for t in self.tables)


class Warehouse:
    """What the warehouse holds of a connection; a `KnownRecords`."""

    def __init__(self, path: Path, kind: str, connection: str):
        self.path, self.schema, self.connection = path, f"raw_{kind}", connection

    def values(self, table: str, field: str, where: dict[str, str] | None = None) -> Iterator[str]:
        """See KnownRecords."""
        if not self.path.exists():
            return
        column = column_name(field)
        conditions = {CONNECTION: self.connection, **{column_name(k): v for k, v in (where or {}).items()}}
        tests = " and ".join(f'"{c}" = ?' for c in conditions)
        query = f'select distinct "{column}" from {self.schema}."{table}" where {tests} and "{column}" is not null order by 1'
        nothing_loaded_yet = contextlib.suppress(duckdb.CatalogException, duckdb.BinderException)
        with duckdb.connect(str(self.path)) as db, nothing_loaded_yet:
            rows = db.execute(query, list(conditions.values()))
            while some := rows.fetchmany(10_000):
                yield from (row[0] for row in some)


def extract(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    *,
    full: bool = False,
    tables: Iterable[str] | None = None,
    on_progress: Progress | None = None,
) -> ExtractReport:
    """Read a connection's tables and load them into the warehouse. The caller holds the warehouse lock.

    `full` reads everything anew; otherwise each table goes on from its cursor, and one without a cursor is read in full.
    Never raises a CRMError: the report says what is incomplete. Raises PipelineStepFailed when the warehouse cannot be written.
    """
    chosen = [t for t in reader.tables if tables is None or t.name in set(tables)]
    report = ExtractReport(connection.name, connection.kind)
    extraction = _Extraction(connection, reader, report, full, on_progress)
    before = _count_rows(settings.warehouse, connection, chosen)
    with EventLoopThread() as thread:
        try:
            _run(_pipeline(connection.kind, connection.name, settings), extraction.source(chosen, thread))
            with contextlib.suppress(CRMError):
                report.warnings += thread.run(reader.warnings())
        except PipelineStepFailed as error:
            for table in report.tables:
                table.state, table.problem, table.remedy = "incomplete", f"could not be loaded: {_first_line(error)}", "See the log."
            raise
        finally:
            report.calls = reader.client.calls.total()
            thread.run(reader.client.close())
    _remove_rows_of_older_full_reads(settings.warehouse, connection, extraction.full_since)
    after = _count_rows(settings.warehouse, connection, chosen)
    for table in report.tables:
        table.rows_total = after.get(table.table, 0)
        table.rows_inserted = max(table.rows_total - before.get(table.table, 0), 0)
        table.calls = reader.client.calls[table.table]
    return report


def create_raw_tables(kind: Kind, tables: Iterable[RawTable], settings: Settings) -> None:
    """Create a CRM's raw tables, empty, where there is no connection that could fill them: the models read all of them."""

    @dlt.source(name=f"raw_{kind}")
    def declared() -> Iterator[DltResource]:
        for table in tables:
            columns = declared_columns(kind, table)
            yield _resource(table, columns, partial(_no_rows, _schema(table, columns)))

    _run(_pipeline(kind, "none", settings), declared())


def declared_columns(kind: str, table: RawTable) -> dict[str, str]:
    """Field -> column for the fields that exist whatever the CRM has: the table's own and the ones that the mapping reads."""
    return assign_columns([*table.key, *table.fields, *mapping.load().raw_fields(kind, table.name)], {})


class _Extraction:
    """One run of one connection: gives the dlt source and fills in the report while dlt pulls."""

    def __init__(self, connection: Connection, reader: Reader, report: ExtractReport, full: bool, on_progress: Progress | None):
        self.connection, self.reader, self.report, self.full = connection, reader, report, full
        self.on_progress = on_progress or (lambda connection, table, rows: None)
        self.started = datetime.now(UTC)
        self.full_since: dict[str, str] = {}
        self._hopeless: CRMError | None = None
        self._last_stamp = self.started

    def source(self, tables: list[RawTable], thread: EventLoopThread) -> DltSource:
        @dlt.source(name=f"raw_{self.connection.kind}")
        def crm() -> Iterator[DltResource]:
            for table in tables:
                yield _resource(table, declared_columns(self.connection.kind, table), partial(self._rows, table, thread))

        return crm()

    def _rows(self, table: RawTable, thread: EventLoopThread) -> Iterator[pa.Table]:
        """The Arrow tables of one raw table; the cursor moves when, and only when, the reader came to its end."""
        kept = dlt.current.resource_state().setdefault(self.connection.name, {})
        columns = {**declared_columns(self.connection.kind, table), **kept.get("columns", {})}
        yield _schema(table, columns).empty_table()
        cursor = None if self.full else kept.get("cursor")
        lag = timedelta(seconds=getattr(self.connection, "visibility_lag_seconds", 0))
        overlap = timedelta(seconds=self.connection.overlap_seconds)
        span = Span(
            mode="incremental" if cursor else "full",
            start=datetime.fromisoformat(cursor) - overlap if cursor else None,
            end=self.started - lag,
            state=json.loads(json.dumps(kept.get("reader", {}))) if cursor else {},
        )
        outcome = TableReport(self.connection.name, self.connection.kind, table.name, span.mode, datetime.now(UTC))
        outcome.cursor = datetime.fromisoformat(cursor) if cursor else None
        self.report.tables.append(outcome)
        try:
            if self._hopeless:
                raise self._hopeless
            purpose.set(table.name)
            fields = thread.run(self.reader.fields(table))
            columns = assign_columns([*columns, *fields], {c: f for f, c in columns.items()})
            for batch in _gather(thread.stream(lambda: self.reader.read(table, span))):
                arrow = self._to_arrow(table, columns, batch)
                outcome.rows_read += arrow.num_rows
                outcome.rows_deleted += arrow[DELETED].to_pylist().count("true")
                self.on_progress(self.connection.name, table.name, outcome.rows_read)
                yield arrow
        except CRMError as error:
            outcome.problem, outcome.remedy = error.problem, error.remedy
            if isinstance(error, CONCERNS_ALL_TABLES):  # trying on would lock the account, or wait for every table anew
                self._hopeless = error
        except Exception as error:
            log.exception("%s: reading %s failed", self.connection.name, table.name)
            outcome.problem, outcome.remedy = f"unexpected {type(error).__name__}", "The log has the details; please report it."
        else:
            outcome.state, outcome.problem, outcome.remedy, outcome.cursor = "ok", None, None, span.end
            kept |= {"cursor": span.end.isoformat(), "reader": span.state, "columns": columns}
            if span.mode == "full":
                kept["full_since"] = _stamp(self.started)
        finally:
            outcome.ended_at = datetime.now(UTC)
            if full_since := kept.get("full_since"):
                self.full_since[table.name] = full_since

    def _to_arrow(self, table: RawTable, columns: dict[str, str], rows: list[dict[str, Any]] | pa.Table) -> pa.Table:
        self._last_stamp = max(datetime.now(UTC), self._last_stamp + timedelta(microseconds=1))
        stamp = _stamp(self._last_stamp)
        if isinstance(rows, pa.Table):
            fields = set(rows.column_names)
        else:
            rows = list({tuple(row.get(f) for f in table.key): row for row in rows}.values())
            fields = set().union(*rows)
        columns |= assign_columns([*columns, *(fields - {DELETED, MERGED_INTO} - columns.keys())], {c: f for f, c in columns.items()})
        schema, size = _schema(table, columns), len(rows)

        def column(field: str) -> pa.Array | pa.ChunkedArray:
            if isinstance(rows, pa.Table):
                return rows[field].cast(pa.string()) if field in fields else pa.nulls(size, pa.string())
            return pa.array([as_text(row.get(field)) for row in rows], pa.string())

        made = {c: column(f) for f, c in columns.items()}
        made[DELETED] = column(DELETED) if DELETED in fields else pa.nulls(size, pa.string())
        made[MERGED_INTO] = column(MERGED_INTO)
        made[CONNECTION] = pa.repeat(self.connection.name, size).cast(pa.string())
        made[SYNCED_AT] = pa.repeat(stamp, size).cast(pa.string())
        return pa.table([made[name] for name in schema.names], schema=schema)


def _gather(batches: Stream[Batch]) -> Iterator[list[dict[str, Any]] | pa.Table]:
    """Small pages put together, large and Arrow ones as they come; what came before an error is given before the error."""
    waiting: list[dict[str, Any]] = []
    try:
        for batch in batches:
            if isinstance(batch.rows, pa.Table):
                if batch.rows.num_rows:
                    yield batch.rows
                continue
            waiting += batch.rows
            if len(waiting) >= ROWS_AT_ONCE:
                yield waiting
                waiting = []
    except Exception:
        if waiting:
            yield waiting
        raise
    if waiting:
        yield waiting


def _schema(table: RawTable, columns: Mapping[str, str]) -> pa.Schema:
    """Bookkeeping first, then the vendor's fields."""
    return arrow_schema([CONNECTION, SYNCED_AT, DELETED, MERGED_INTO, *columns.values()], required=_required(table))


def _no_rows(schema: pa.Schema) -> Iterator[pa.Table]:
    yield schema.empty_table()


def _required(table: RawTable) -> list[str]:
    return [CONNECTION, SYNCED_AT, *(column_name(f) for f in table.replace_by or table.key)]


def _resource(table: RawTable, columns: Mapping[str, str], rows: Callable[[], Iterator[pa.Table]]) -> DltResource:
    required = _required(table)
    hints: dict[str, Any] = {
        c: {"data_type": "text", "nullable": c not in required}
        for c in (CONNECTION, SYNCED_AT, DELETED, MERGED_INTO, *columns.values())
    }  # fmt: skip
    keys: dict[str, Any]
    if table.replace_by:
        keys = {"merge_key": [CONNECTION, *map(column_name, table.replace_by)]}
    else:
        keys = {"primary_key": [CONNECTION, *map(column_name, table.key)]}
        hints[SYNCED_AT]["dedup_sort"] = "desc"

    def items() -> Iterator[pa.Table]:  # dlt takes a function's parameters for configuration, so this one has none
        yield from rows()

    return dlt.resource(
        items, name=table.name, write_disposition={"disposition": "merge", "strategy": "delete-insert"}, columns=hints, **keys
    )


def _pipeline(kind: str, name: str, settings: Settings) -> dlt.Pipeline:
    """A pipeline whose local state is scratch: the warehouse remembers, so that the two can never disagree."""
    pipeline = dlt.pipeline(
        f"{kind}__{name}",
        pipelines_dir=str(settings.data_dir / "dlt"),
        dataset_name=f"raw_{kind}",
        destination=dlt.destinations.duckdb(str(settings.warehouse)),
    )
    pipeline.drop()
    return pipeline


def _run(pipeline: dlt.Pipeline, source: DltSource) -> None:
    # One table after the other: a table may need what the ones before it found. Their pages are fetched ahead all the same.
    with _dlt_configured():
        pipeline.run(source)


@contextlib.contextmanager
def _dlt_configured() -> Generator[None]:
    values = {
        "EXTRACT__NEXT_ITEM_MODE": "fifo",
        "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _remove_rows_of_older_full_reads(warehouse: Path, connection: Connection, full_since: Mapping[str, str]) -> None:
    """After a full read, what it did not see again is gone from the CRM. Done after every load, so that a stop in between mends itself."""
    with duckdb.connect(str(warehouse)) as db:
        for table, since in full_since.items():
            db.execute(f'delete from raw_{connection.kind}."{table}" where {CONNECTION} = ? and {SYNCED_AT} < ?', [connection.name, since])


def _count_rows(warehouse: Path, connection: Connection, tables: Iterable[RawTable]) -> dict[str, int]:
    counts: dict[str, int] = {}
    if not warehouse.exists():
        return counts
    with duckdb.connect(str(warehouse)) as db:
        for table in tables:
            with contextlib.suppress(duckdb.CatalogException):  # not loaded yet
                query = f'select count(*) from raw_{connection.kind}."{table.name}" where {CONNECTION} = ?'
                counts[table.name] = db.execute(query, [connection.name]).fetchall()[0][0]
    return counts


def _stamp(moment: datetime) -> str:
    """Text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
