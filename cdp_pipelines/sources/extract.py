"""Extract one connection into the raw tables: a Reader becomes a dlt source, and each table's outcome is written down.

Tables are read side by side, and loaded one after the other, some hundred thousand rows at a time. Rows are appended; the ones that they
replace are removed at the end, and staging reads past them until then. Safe against a stop at any moment: dlt's working directory is
scratch, cursors live beside the data in the warehouse and move with the load that they belong to. A table that fails keeps its cursor and
does not stop the others.
"""

from __future__ import annotations

import contextlib
import gc
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource, DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from cdp_pipelines import database, encryption, history
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.engines import serving
from cdp_pipelines.engines.choice import elsewhere, names_elsewhere
from cdp_pipelines.privacy.suppression import Suppression
from cdp_pipelines.scrubbing import scrub
from cdp_pipelines.sources import warehouse
from cdp_pipelines.sources.raw_tables import declared_columns, load, pipeline_of, resource_of
from cdp_pipelines.sources.reader import Mode, Reader
from cdp_pipelines.sources.report import ExtractReport, Progress
from cdp_pipelines.sources.streaming import EventLoopThread
from cdp_pipelines.sources.table_reading import Run, TableReading
from cdp_pipelines.tracing import traced

# Rows of one load. What was read before it is safe whatever happens after; each load costs about half a second of its own.
ROWS_A_LOAD = 250_000


class NotLoaded(Exception):
    """What was read could not be written to the warehouse (a full disk, say). Cursors stay where they were."""


@contextlib.contextmanager
def _frugal() -> Generator[None]:
    """Memory that Arrow needs no longer goes back at once, as its usual allocator would not have it; and Python looks for cycles of dead
    objects seldom: records are none, but thousands of them alive at a time make it look again and again. Through what was imported it does
    not look any more, nor when the process ends; once, since what later calls find may die."""
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(100)
    if not gc.get_freeze_count():
        gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _leaving_nothing(settings: Settings) -> Generator[None]:
    """Where files are encrypted, what is read lies plain on the disk in one private folder for as long as it takes to load it: pages and
    bulk files in temporary files, dlt's load packages. After a kill the next extraction removes it. The caller holds the warehouse lock."""
    if encryption.load(settings) is None:
        yield
        return
    folder, before = settings.data_dir / "unloaded", tempfile.tempdir
    for left in (folder, settings.data_dir / "dlt"):
        shutil.rmtree(left, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        for left in (folder, settings.data_dir / "dlt"):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _held_open(settings: Settings) -> Generator[None]:
    """The warehouse is open all the while: dlt opens and closes it some ten times, which is a third of the time of a sync that finds little."""
    if elsewhere(settings) is not None:
        yield
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with database.connect(settings, settings.warehouse):
        yield


def extract(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    *,
    full: bool = False,
    reconcile: bool = False,
    named: bool = False,
    tables: Iterable[str] | None = None,
    on_progress: Progress | None = None,
) -> ExtractReport:
    """Read a connection's tables and load them into the warehouse. The caller holds the warehouse lock.

    `full` reads everything anew; otherwise each table goes on from its cursor, and one without a cursor is read in full. With `reconcile`
    the reader itself finds what to read, and cursors stay (see reconcile.py); with `named` it reads some records alone (see named.py).
    Never raises a CRMError: the report says what is incomplete. Raises NotLoaded when the warehouse cannot be written.
    """
    with _frugal(), _leaving_nothing(settings), _held_open(settings), traced(f"read {connection.name}", cdp__connection=connection.name):
        return _extract(connection, reader, settings, full, reconcile, named, tables, on_progress)


def _extract(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    full: bool,
    reconcile: bool,
    named: bool,
    tables: Iterable[str] | None,
    on_progress: Progress | None,
) -> ExtractReport:
    chosen = [t for t in reader.tables if tables is None or t.name in set(tables)]
    reader.chosen = frozenset(t.name for t in chosen)
    report = ExtractReport(connection.name, connection.kind)
    history.raw_tables_change(settings)
    before = warehouse.count_rows(settings, connection, chosen)
    with EventLoopThread() as thread:
        mode: Mode = "named" if named else "reconcile" if reconcile else "full" if full else "incremental"
        going = Run(
            connection,
            reader,
            thread,
            mode,
            on_progress or (lambda connection, table, rows, expected: None),
            before,
            Suppression.of(settings),
        )
        readings = [TableReading(table, going) for table in chosen]
        try:
            pipeline = pipeline_of(connection.kind, connection.name, settings)
            while any(not r.done for r in readings):
                load(pipeline, _source(readings, going, names_elsewhere(settings)), connection.kind, settings)
                serving.show_raw(settings, connection.kind, chosen)
                for reading in readings:
                    if reading.done:
                        reading.release()
            with contextlib.suppress(CRMError):
                report.warnings += thread.run(reader.warnings())
        except PipelineStepFailed as error:
            where = settings.warehouse if settings.engine == "duckdb" else f"The engine that CDP_ENGINE names ({settings.engine})"
            problem = f"{where} could not be written: {_cause(error)}"
            remedy = "Make room on the disk, or mend what the message names, and run the same command again; it goes on from the last load."
            for reading in readings:
                reading.outcome.state, reading.outcome.problem, reading.outcome.remedy = "incomplete", problem, remedy
            raise NotLoaded(f"{problem} {remedy}") from error
        finally:
            for reading in readings:
                reading.account_for_calls_and_rejects()
            report.tables = [r.outcome for r in readings]
            report.warnings += [note for table in report.tables for note in table.notes]
            if left_out := sum(table.rows_suppressed for table in report.tables):
                report.warnings.append(f"{left_out:,} rows about people who were erased were left out.")
            report.warnings += [told for table in report.tables for told in table.rejects_told()]
            report.calls = reader.client.calls.total()
            report.unreadable = going.hopeless is not None
            thread.run(reader.client.close())
            record(settings, _operation(report, mode))
    full_since = {r.table.name: r.full_since for r in readings if r.full_since}
    warehouse.keep_newest(settings, connection, chosen)
    for reading in readings:
        warehouse.remove(settings, connection, reading.table, reading.left_out)
    warehouse.retire_rows_of_older_full_reads(settings, connection, chosen, full_since)
    serving.show_raw(settings, connection.kind, chosen)
    after = warehouse.count_rows(settings, connection, chosen)
    for table in report.tables:
        table.rows_total = after.get(table.table, 0)
        table.rows_inserted = max(table.rows_total - before.get(table.table, 0), 0)
        table.calls = reader.client.calls[table.table]
    return report


def _operation(report: ExtractReport, mode: Mode) -> Operation:
    """An extraction for the audit log: what was read of each table, and whether to its end."""
    tables = {
        t.table: {
            "mode": t.mode,
            "rows": t.rows_read,
            "deleted": t.rows_deleted,
            "left_out": t.rows_suppressed,
            "rejected": t.rows_rejected,
            "state": t.state,
        }
        for t in report.tables
    }
    about = {"kind": report.kind, "mode": mode, "calls": report.calls, "tables": tables}
    result = "ok" if report.complete else "incomplete"
    return Operation("sync", report.connection, result, sum(t.rows_read for t in report.tables), about)


def _source(readings: list[TableReading], going: Run, names: Mapping[str, str]) -> DltSource:
    """One load: the tables that are not done, until there are enough rows. `names` are those of columns that are called otherwise there."""
    left = ROWS_A_LOAD

    def rows(reading: TableReading) -> Iterator[pa.Table]:
        nonlocal left
        for number, other in enumerate(readings):
            if not other.begun:
                other.begin(_kept(other, going), first=number == 0)
        if left <= 0:
            return
        for arrow in reading.rows(_kept(reading, going)):
            left -= arrow.num_rows
            yield arrow
            if left <= 0:
                break
        if reading.done and reading.resumed:
            left = 0  # tables that build on a resumed one look in the warehouse for what earlier runs read of it

    @dlt.source(name=f"raw_{going.connection.kind}")
    def crm() -> Iterator[DltResource]:
        for reading in readings:
            if not reading.done:
                columns = declared_columns(going.connection.kind, reading.table)
                yield resource_of(reading.table, columns, partial(rows, reading), names)

    return crm()


def _kept(reading: TableReading, going: Run) -> dict[str, Any]:
    """A table's memory of the connection, which is loaded together with its rows."""
    return dlt.current.resource_state(reading.table.name).setdefault(going.connection.name, {})


def _cause(error: BaseException) -> str:
    """What lies at the bottom of an error, in a line: of those that say anything the deepest one."""
    said, deeper = type(error).__name__, error
    while deeper is not None:
        said = next((line for line in scrub(str(deeper)).splitlines() if line.strip()), said)
        deeper = deeper.__cause__ or deeper.__context__
    return said.strip()
