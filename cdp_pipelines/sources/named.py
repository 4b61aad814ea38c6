"""Read the records again that somebody names: a notification, or a write of our own. Cursors stay where they are.

What is read is what the CRM says now, whatever the notification said and however late it came, so that an old one overwrites nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.reader import Batch, Named, RawTable, Reader, Reconciler, Span
from cdp_pipelines.sources.reconcile import with_survivors
from cdp_pipelines.sources.report import ExtractReport, Progress


def read_named(
    connection: Connection, reader: Reconciler, settings: Settings, named: Named, *, on_progress: Progress | None = None
) -> ExtractReport:
    """Read what is named. The caller holds the warehouse lock; reports and fails as `extract` does, each table's mode being `named`."""
    return extract(connection, NamedReader(reader, named), settings, named=True, tables=named.tables, on_progress=on_progress)


class NamedReader(Reader):
    """Reads, through a CRM's own reader, the named records alone."""

    def __init__(self, reader: Reconciler, named: Named):
        self._reader, self._named = reader, named
        self.client, self.known = reader.client, reader.known
        self.tables = tuple(table for table in reader.tables if table.name in named.tables)

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader."""
        return await self._reader.fields(table)

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """See Reader."""
        merged_into = self._named.keys[table.name]
        async for batch in self._reader.named(table, self._named):
            yield with_survivors(batch, table, merged_into) if len(table.key) == 1 else batch
