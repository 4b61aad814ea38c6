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
from cdp_pipelines.sources.reader import Batch, RawTable, Reader, Reconciler, Span
from cdp_pipelines.sources.reconcile import with_survivors
from cdp_pipelines.sources.report import ExtractReport, Progress


@dataclass
class Named:
    """What to read again of a connection, by raw table.

    `keys` are records (or sets of links) with the record that they were merged into, where that was told. `ends` are records at the other
    end of links. `followed` says that the keys of a table are also the values of a field in the rows that are read of another one.
    """

    keys: defaultdict[str, dict[str, str | None]] = field(default_factory=lambda: defaultdict(dict))
    ends: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    followed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, table: str, keys: Iterable[str], merged_into: str | None = None) -> None:
        """Name some records of a table. That one was merged away is not forgotten when it is named again."""
        for key in keys:
            self.keys[table][key] = merged_into or self.keys[table].get(key)

    @property
    def tables(self) -> set[str]:
        """The tables of which something is read."""
        named = {name for name, keys in (*self.keys.items(), *self.ends.items()) if keys}
        return named | {name for name, (other, _) in self.followed.items() if other in named}


def read_named(
    connection: Connection, reader: Reconciler, settings: Settings, named: Named, *, on_progress: Progress | None = None
) -> ExtractReport:
    """Read what is named. The caller holds the warehouse lock; reports and fails as `extract` does, each table's mode being `named`."""
    report = extract(connection, _NamedReader(reader, named), settings, reconcile=True, tables=named.tables, on_progress=on_progress)
    for table in report.tables:
        table.mode = "named"
    return report


class _NamedReader(Reader):
    """Reads, through a CRM's own reader, the named records alone."""

    def __init__(self, reader: Reconciler, named: Named):
        self._reader, self._named = reader, named
        self.client, self.known = reader.client, reader.known
        self.tables = tuple(table for table in reader.tables if table.name in named.tables)
        self._followed: defaultdict[str, set[str]] = defaultdict(set)

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader."""
        return await self._reader.fields(table)

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """See Reader."""
        keys = dict(self._named.keys[table.name])
        if (ends := self._named.ends[table.name]) and isinstance(self._reader, HubSpotReconciler):
            keys |= {key: keys.get(key) for key in await self._reader.linked_with(table, sorted(ends))}
        if table.name in self._named.followed:
            keys |= dict.fromkeys(self._followed[table.name])
        if not keys:
            return
        # What their rows said until now is followed too.
        self._note_held(table, keys)
        async for batch in self._reader.reread(table, keys):
            self._note(table, batch)
            yield with_survivors(batch, table, keys) if len(table.key) == 1 else batch

    def _note_held(self, table: RawTable, keys: Iterable[str]) -> None:
        by = (table.replace_by or table.key)[0]
        for follower, (other, name) in self._named.followed.items():
            if other == table.name:
                self._followed[follower].update(value for key in keys for value in self.known.values(table.name, name, {by: key}))

    def _note(self, table: RawTable, batch: Batch) -> None:
        for follower, (other, name) in self._named.followed.items():
            if other == table.name and isinstance(batch.rows, list):
                self._followed[follower].update(row[name] for row in batch.rows if row.get(name))
