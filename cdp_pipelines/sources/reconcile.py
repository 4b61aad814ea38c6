"""Reconcile: what an incremental read cannot see (purges, events that were missed, calculated fields, links that change alone) is found by
comparing what a CRM shows with the warehouse; only what differs is read again. Cursors stay where they are.

A record that the CRM shows nowhere any more, not even when asked for by its id, becomes a tombstone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime

import pyarrow as pa

from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.crm_integrations.base_crm import FieldInfo
from cdp_pipelines.sources.comparison import Comparison
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, RawTable, Reader, Reconciler, Span
from cdp_pipelines.sources.report import ExtractReport, Progress
from cdp_pipelines.sources.shown import Late, Shown


def reconcile(
    connection: Connection,
    reader: Reconciler,
    settings: Settings,
    *,
    tables: Iterable[str] | None = None,
    read_until: Mapping[str, datetime] | None = None,
    on_progress: Progress | None = None,
) -> ExtractReport:
    """Mend the raw tables of a connection where they differ from what the CRM shows. The caller holds the warehouse lock.

    Reports and fails as `extract` does; `rows_read` counts what was mended. Tables of which a sync misses nothing are left out.
    `read_until` is until when each table had been read; the report's `shown` says of which older changes the reads had missed.
    """
    differences = Differences(connection, reader, settings, read_until or {})
    report = extract(connection, differences, settings, reconcile=True, tables=tables, on_progress=on_progress)
    report.shown = differences.shown
    return report


class Differences(Reader):
    """Reads, through a CRM's own reader, the records of which the CRM says something else than the warehouse."""

    def __init__(self, connection: Connection, reader: Reconciler, settings: Settings, read_until: Mapping[str, datetime]):
        self._connection, self._reader, self._settings, self._read_until = connection, reader, settings, read_until
        self.shown: dict[str, Shown] = {}
        self.client, self.known = reader.client, reader.known
        self._glances = {table.name: glance for table in reader.tables if (glance := reader.glance(table)) is not None}
        self.tables = tuple(table for table in reader.tables if table.name in self._glances)

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader."""
        return await self._reader.fields(table)

    async def described(self, table: RawTable) -> list[FieldInfo]:
        """See Reader."""
        return await self._reader.described(table)

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """See Reader."""
        glance = self._glances[table.name]
        self._reader.unread = {**self._reader.unread, table.name: span.unread}
        with Comparison(self._settings, self._connection, table, span.columns) as comparison:
            async for batch in glance.pages:
                comparison.add(batch.rows)
            await asyncio.to_thread(comparison.compare, glance)
            until = self._read_until.get(table.name)
            shown = Shown(table, glance.everything, comparison.late(until) if until else Late(), [comparison.shown()])
            for rows in comparison.rows():
                yield Batch(rows)
            keys = comparison.keys()
        if keys:
            async for batch in self._reader.reread(table, keys):
                shown.add(batch)
                yield with_survivors(batch, table, keys)
        self.shown[table.name] = shown


def with_survivors(batch: Batch, table: RawTable, merged_into: Mapping[str, str | None]) -> Batch:
    """Tombstones say, or go on saying, into which record theirs was merged: the CRM may not tell it any more."""
    if isinstance(batch.rows, pa.Table):
        return batch
    (key,) = table.key
    bare = {key, DELETED}
    return Batch([{**row, MERGED_INTO: merged_into.get(row[key])} if row.keys() == bare else row for row in batch.rows])
