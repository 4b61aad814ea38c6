"""Read the records again that somebody names: a notification, or a write of our own. Cursors stay where they are.

What is read is what the CRM says now, whatever the notification said and however late it came, so that an old one overwrites nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.hubspot_reconcile import HubSpotReconciler
from cdp_pipelines.sources.marketo_reconcile import MarketoReconciler
from cdp_pipelines.sources.reader import Batch, RawTable, Reader, Reconciler, Span
from cdp_pipelines.sources.reconcile import with_survivors
from cdp_pipelines.sources.report import ExtractReport, Progress


@dataclass
class Named:
    """What to read again of a connection, by raw table.

    `keys` are records (or sets of links) with the record that they were merged into, where that was told. `ends` are records at the other
    end of links. `deals_of` are Marketo leads whose opportunities are read.
    """

    keys: defaultdict[str, dict[str, str | None]] = field(default_factory=lambda: defaultdict(dict))
    ends: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    deals_of: set[str] = field(default_factory=set)

    def add(self, table: str, keys: Iterable[str], merged_into: str | None = None) -> None:
        """Name some records of a table. That one was merged away is not forgotten when it is named again."""
        for key in keys:
            self.keys[table][key] = merged_into or self.keys[table].get(key)

    @property
    def tables(self) -> set[str]:
        """The tables of which something is read."""
        named = {name for name, keys in (*self.keys.items(), *self.ends.items()) if keys}
        return named | ({"opportunity_roles", "opportunities"} if self.deals_of else set())


def read_named(
    connection: Connection, reader: Reconciler, settings: Settings, named: Named, *, on_progress: Progress | None = None
) -> ExtractReport:
    """Read what is named. The caller holds the warehouse lock; reports and fails as `extract` does, each table's mode being `named`."""
    return extract(connection, _NamedReader(reader, named), settings, named=True, tables=named.tables, on_progress=on_progress)


class _NamedReader(Reader):
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
        keys = dict(self._named.keys[table.name])
        if (ends := self._named.ends[table.name]) and isinstance(self._reader, HubSpotReconciler):
            keys |= {key: keys.get(key) for key in await self._reader.linked_with(table, sorted(ends))}
        if isinstance(self._reader, MarketoReconciler) and self._named.deals_of:
            if table.name == "opportunity_roles":
                keys |= dict.fromkeys(sorted(self._named.deals_of))
            elif table.name == "opportunities":
                async for batch in self._reader.opportunities_of(sorted(self._named.deals_of)):
                    yield batch
        if keys:
            async for batch in self._reader.reread(table, keys):
                yield with_survivors(batch, table, keys) if len(table.key) == 1 else batch
