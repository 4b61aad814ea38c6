"""Extract one connection into the raw tables: a Reader becomes a dlt source, and each table's outcome is written down.

Safe against a stop at any moment: dlt's working directory is scratch, cursors live beside the data in the warehouse and move with the
load that they belong to. A table that fails keeps its cursor and does not stop the others.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource, DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.crm_integrations.base_crm import AuthenticationError, CRMError, QuotaExhausted, Unreachable
from cdp_pipelines.crm_integrations.http import purpose
from cdp_pipelines.sources.columns import as_text, assign_columns
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT, declared_columns, pipeline_of, resource_of, run, schema_of
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, RawTable, Reader, Span
from cdp_pipelines.sources.report import ExtractReport, Progress, TableReport
from cdp_pipelines.sources.streaming import EventLoopThread, Stream
from cdp_pipelines.sources.warehouse import count_rows, retire_rows_of_older_full_reads

log = logging.getLogger(__name__)

# Rows of one Arrow table handed to dlt: large enough that its cost a table vanishes, small enough for little memory.
ROWS_AT_ONCE = 10_000

CONCERNS_ALL_TABLES = (AuthenticationError, Unreachable, QuotaExhausted)


def extract(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    *,
    full: bool = False,
    reconcile: bool = False,
    tables: Iterable[str] | None = None,
    on_progress: Progress | None = None,
) -> ExtractReport:
    """Read a connection's tables and load them into the warehouse. The caller holds the warehouse lock.

    `full` reads everything anew; otherwise each table goes on from its cursor, and one without a cursor is read in full. With `reconcile`
    the reader itself finds what to read, and cursors stay (see reconcile.py).
    Never raises a CRMError: the report says what is incomplete. Raises PipelineStepFailed when the warehouse cannot be written.
    """
    chosen = [t for t in reader.tables if tables is None or t.name in set(tables)]
    report = ExtractReport(connection.name, connection.kind)
    extraction = _Extraction(connection, reader, report, full, reconcile, on_progress)
    before = count_rows(settings.warehouse, connection, chosen)
    with EventLoopThread() as thread:
        try:
            run(pipeline_of(connection.kind, connection.name, settings), extraction.source(chosen, thread))
            with contextlib.suppress(CRMError):
                report.warnings += thread.run(reader.warnings())
        except PipelineStepFailed as error:
            for table in report.tables:
                table.state, table.problem, table.remedy = "incomplete", f"could not be loaded: {_first_line(error)}", "See the log."
            raise
        finally:
            report.calls = reader.client.calls.total()
            thread.run(reader.client.close())
    retire_rows_of_older_full_reads(settings.warehouse, connection, chosen, extraction.full_since)
    after = count_rows(settings.warehouse, connection, chosen)
    for table in report.tables:
        table.rows_total = after.get(table.table, 0)
        table.rows_inserted = max(table.rows_total - before.get(table.table, 0), 0)
        table.calls = reader.client.calls[table.table]
    return report


class _Extraction:
    """One run of one connection: gives the dlt source and fills in the report while dlt pulls."""

    def __init__(
        self, connection: Connection, reader: Reader, report: ExtractReport, full: bool, reconcile: bool, on_progress: Progress | None
    ):
        self.connection, self.reader, self.report = connection, reader, report
        self.full, self.reconcile = full, reconcile
        self.on_progress = on_progress or (lambda connection, table, rows: None)
        self.started = datetime.now(UTC)
        self.full_since: dict[str, str] = {}
        self._hopeless: CRMError | None = None
        self._last_stamp = self.started

    def source(self, tables: list[RawTable], thread: EventLoopThread) -> DltSource:
        @dlt.source(name=f"raw_{self.connection.kind}")
        def crm() -> Iterator[DltResource]:
            for table in tables:
                yield resource_of(table, declared_columns(self.connection.kind, table), partial(self._rows, table, thread))

        return crm()

    def _rows(self, table: RawTable, thread: EventLoopThread) -> Iterator[pa.Table]:
        """The Arrow tables of one raw table; the cursor moves when, and only when, the reader came to its end."""
        kept = dlt.current.resource_state().setdefault(self.connection.name, {})
        columns = {**declared_columns(self.connection.kind, table), **kept.get("columns", {})}
        yield schema_of(table, columns).empty_table()
        cursor = None if self.full or self.reconcile else kept.get("cursor")
        lag = timedelta(seconds=getattr(self.connection, "visibility_lag_seconds", 0))
        overlap = timedelta(seconds=self.connection.overlap_seconds)
        span = Span(
            mode="reconcile" if self.reconcile else "incremental" if cursor else "full",
            start=datetime.fromisoformat(cursor) - overlap if cursor else None,
            end=self.started - lag,
            state=json.loads(json.dumps(kept.get("reader", {}))) if cursor else {},
        )
        outcome = TableReport(self.connection.name, self.connection.kind, table.name, span.mode, datetime.now(UTC))
        before = kept.get("cursor") if self.reconcile else cursor
        outcome.cursor = datetime.fromisoformat(before) if before else None
        self.report.tables.append(outcome)
        try:
            if self._hopeless:
                raise self._hopeless
            purpose.set(table.name)
            fields = thread.run(self.reader.fields(table))
            columns = assign_columns([*columns, *fields], {c: f for f, c in columns.items()})
            span.columns = columns
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
            outcome.state, outcome.problem, outcome.remedy = "ok", None, None
            kept["columns"] = columns
            if not self.reconcile:
                outcome.cursor = span.end
                kept |= {"cursor": span.end.isoformat(), "reader": span.state}
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
        schema, size = schema_of(table, columns), len(rows)

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


def _stamp(moment: datetime) -> str:
    """Text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
