"""The extraction of one connection into a DuckDB file without dlt's files in between, for many short histories.

Everything else is the product's own: the readers over HTTP, the spans and cursors, the rows, and what keeps the newest version of each.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.privacy.suppression import Suppression
from cdp_pipelines.sources import registry, warehouse
from cdp_pipelines.sources.named import NamedReader
from cdp_pipelines.sources.raw_tables import declared_columns, schema_of
from cdp_pipelines.sources.reader import Mode, Named, RawTable
from cdp_pipelines.sources.reconcile import Differences
from cdp_pipelines.sources.report import TableReport
from cdp_pipelines.sources.streaming import EventLoopThread
from cdp_pipelines.sources.table_reading import Run, TableReading
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.wanted import wanted_of


class QuickWarehouse:
    """A warehouse file and the memory of its tables, which change together, as with dlt."""

    def __init__(self, folder: Path, like: QuickWarehouse | None = None):
        """An empty one, or one like another that was closed."""
        folder.mkdir(parents=True)
        self.settings = Settings(data_dir=folder)
        self._kept: dict[tuple[str, str], dict[str, Any]] = deepcopy(like._kept) if like else {}
        if like:
            shutil.copy(like.settings.warehouse, self.settings.warehouse)
        # As long as this is open, opening the file again costs nothing and closing it writes nothing.
        self._held = duckdb.connect(str(self.settings.warehouse))
        self._held.execute("set threads = 1")  # for so few rows, threads cost more than they do
        self._columns: dict[str, set[str]] = deepcopy(like._columns) if like else {}
        if like:
            return
        with self._held.cursor() as db:
            db.begin()
            for kind, tables in registry.TABLES.items():
                db.execute(f"create schema raw_{kind}")
                for table in tables:
                    self._append(db, kind, table, schema_of(table, declared_columns(kind, table)).empty_table())
            db.commit()

    def close(self) -> None:
        """Let go of the file."""
        self._held.close()

    def sync(
        self, connection: Connection, at: datetime, mode: Mode = "incremental", tables: Collection[str] | None = None
    ) -> dict[str, str]:
        """One sync of all tables, or of some, at the moment `at`; what was incomplete, by table."""
        reports = self.read(connection, at, mode, tables)
        return {report.table: report.problem or report.state for report in reports if report.state != "ok"}

    def told(self, connection: Connection, at: datetime, events: Iterable[Event]) -> dict[str, str]:
        """What some notifications name read again; what was incomplete, by table."""
        known = warehouse.Warehouse(self.settings, connection.kind, connection.name)
        named = wanted_of(connection.kind, events, known).named
        reports = self.read(connection, at, "named", named.tables, named)
        return {report.table: report.problem or report.state for report in reports if report.state != "ok"}

    def read(
        self,
        connection: Connection,
        at: datetime,
        mode: Mode = "incremental",
        tables: Collection[str] | None = None,
        named: Named | None = None,
    ) -> list[TableReport]:
        """As `sync`; what each table says of itself."""
        whole = registry.reader(connection, self.settings)
        reader = NamedReader(whole, named) if named is not None else whole
        if mode == "reconcile":
            reader = Differences(connection, whole, self.settings, {})
        reader.chosen = frozenset(tables) if tables else None
        with EventLoopThread() as thread:
            going = Run(connection, reader, thread, mode, lambda *_: None, {}, Suppression.of(self.settings), started=at)
            readings = [TableReading(table, going) for table in reader.tables if tables is None or table.name in tables]
            try:
                for number, reading in enumerate(readings):
                    reading.begin(self._memory(connection, reading.table), first=number == 0)
                for reading in readings:
                    self._load(connection, reading)
                    reading.release()
            finally:
                thread.run(reader.client.close())
        warehouse.keep_newest(self.settings, connection, reader.tables)
        for reading in readings:
            warehouse.remove(self.settings, connection, reading.table, reading.left_out)
        full_since = {r.table.name: r.full_since for r in readings if r.full_since}
        warehouse.retire_rows_of_older_full_reads(self.settings, connection, reader.tables, full_since)
        return [reading.outcome for reading in readings]

    def _memory(self, connection: Connection, table: RawTable) -> dict[str, Any]:
        return self._kept.setdefault((connection.name, table.name), {})

    def _load(self, connection: Connection, reading: TableReading) -> None:
        for rows in reading.rows(self._memory(connection, reading.table)):
            with self._held.cursor() as db:
                db.begin()
                self._append(db, connection.kind, reading.table, rows)
                db.commit()

    def _append(self, db: duckdb.DuckDBPyConnection, kind: str, table: RawTable, rows: pa.Table) -> None:
        relation = f'raw_{kind}."{table.name}"'
        rows = rows.append_column("_dlt_load_id", pa.repeat("1", rows.num_rows).cast(pa.string()))
        there = self._columns.setdefault(relation, set())
        new = [name for name in rows.column_names if name not in there]
        db.register("given", rows)
        if not there or (new and db.execute(f"select 1 from {relation} limit 1").fetchone() is None):
            # Anew, rather than a hundred columns one after the other.
            db.execute(f"create or replace table {relation} as select * from given")
            there.clear()
        else:
            for name in new:
                db.execute(f'alter table {relation} add column "{name}" varchar')
            db.execute(f"insert into {relation} by name select * from given")
        there.update(rows.column_names)
        db.unregister("given")
