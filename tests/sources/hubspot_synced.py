"""A portal with a warehouse, or with tables in memory, that are filled from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from starlette.types import ASGIApp

from cdp_pipelines.config import HubSpotConnection, Settings, connection_from_config
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sources.columns import as_text
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.hubspot import TABLES, HubSpotReader
from cdp_pipelines.sources.reader import RawTable, Span
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from tests.sandbox.hubspot_portal import Portal

Serve = Callable[[ASGIApp], str]


class Synced:
    """A portal and a warehouse that is filled from it."""

    def __init__(self, serve: Serve, folder: Path, store: HubSpotStore | None = None, overlap_seconds: int = 0, **options: Any):
        self.portal = Portal(serve, store, **options)
        self.store = self.portal.store
        self.folder = folder
        config = {
            **credentials.HUBSPOT, "base_url": self.portal.url, "visibility_lag_seconds": 0, "overlap_seconds": overlap_seconds,
            "calls_per_10_seconds": 10_000, "searches_per_second": 1_000,
        }  # fmt: skip
        made = connection_from_config("hubspot", config)
        assert isinstance(made, HubSpotConnection)
        self.connection = made

    def sync(self, warehouse: str = "main", **options: Any) -> ExtractReport:
        """Read into a warehouse, which begins empty."""
        made = Settings(data_dir=self.folder / warehouse)
        reader = HubSpotReader(self.connection, Warehouse(made, "hubspot", "hubspot"))
        return extract(self.connection, reader, made, **options)

    def query(self, sql: str, warehouse: str = "main") -> list[Any]:
        """Rows of a query of a warehouse."""
        with duckdb.connect(str(self.folder / warehouse / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(sql).fetchall()

    def content(self, warehouse: str) -> dict[str, list[Any]]:
        """All raw tables."""
        return {t.name: self.rows(t.name, warehouse) for t in TABLES}

    def rows(self, table: str, warehouse: str) -> list[Any]:
        """A raw table without what tells one load from another."""
        # By name: where a column stands depends on when its property came.
        names = sorted(name for name, *_ in self.query(f"describe raw_hubspot.{table}", warehouse))
        columns = ", ".join(f'"{name}"' for name in names if not name.startswith("_dlt") and name != "_synced_at")
        return self.query(f"select {columns} from raw_hubspot.{table} order by all", warehouse)

    def differences(self) -> dict[str, Any]:
        """Tables in which the warehouse differs from a fresh full read, with what is only on either side."""
        assert self.sync("fresh", full=True).complete
        kept, fresh = self.content("main"), self.content("fresh")
        return {
            name: {"incremental": [r for r in kept[name] if r not in fresh[name]], "full": [r for r in fresh[name] if r not in kept[name]]}
            for name in kept if kept[name] != fresh[name]
        }  # fmt: skip


class Rows:
    """Raw tables in memory, merged as the warehouse does; a `KnownRecords`. Much quicker than a warehouse, for many histories."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, list[dict[str, Any]]]] = {t.name: {} for t in TABLES}

    def values(self, table: str, field: str, where: Mapping[str, str | Collection[str]] | None = None) -> Iterator[str]:
        yield from sorted({row[field] for row in self._fit(table, where) if row.get(field) is not None})

    def pairs(
        self, table: str, field: str, other: str, where: Mapping[str, str | Collection[str]] | None = None
    ) -> Iterator[tuple[str, str]]:
        yield from sorted({(row[field], row[other]) for row in self._fit(table, where) if row.get(field) and row.get(other)})

    def _fit(self, table: str, where: Mapping[str, str | Collection[str]] | None) -> list[dict[str, Any]]:
        rows = [row for rows in self.tables[table].values() for row in rows]
        return [row for row in rows if all(as_text(row.get(k)) in ([v] if isinstance(v, str) else v) for k, v in (where or {}).items())]

    def gone_since(self, table: str, field: str, moment: datetime) -> Iterator[str]:
        # Here no sync is stopped between two tables.
        yield from ()

    async def read(self, connection: HubSpotConnection, start: datetime | None, end: datetime) -> None:
        """One sync of all tables."""
        reader = HubSpotReader(connection, self)
        async with reader.client:
            for table in TABLES:
                await self.read_table(reader, table, Span("incremental" if start else "full", start, end))

    async def read_table(self, reader: HubSpotReader, table: RawTable, span: Span, *, batches: int | None = None) -> dict[str, Any] | None:
        """Read a table, or only so many batches of it; gives where it can be gone on with."""
        found: dict[Any, list[dict[str, Any]]] = {}
        resume, taken = None, 0
        pages = reader.read(table, span)
        async for batch in pages:
            for row in batch.rows.to_pylist() if isinstance(batch.rows, pa.Table) else batch.rows:
                key = tuple(as_text(row.get(k)) for k in table.replace_by or table.key)
                found[key] = [*found.get(key, []), row] if table.replace_by else [row]
            resume, taken = batch.resume, taken + 1
            if taken == batches:
                break
        await pages.aclose()  # ty: ignore[missing-attribute]
        self.tables[table.name] |= found
        return resume

    def merged_into(self, winners: set[str]) -> Iterator[str]:
        """Contacts that were merged into one of these."""
        yield from (i for winner in winners for i in self.values("contacts", "id", {"_merged_into": winner}))

    def content(self, without: set[str] | None = None) -> dict[str, list[str]]:
        """Every row as text, in order, but for the rows of some contacts."""
        own, unwanted = ("id", "from_id", "contact_id"), without or set()
        return {name: sorted(_text(r) for rows in t.values() for r in rows if not {r.get(k) for k in own} & unwanted)
                for name, t in self.tables.items()}  # fmt: skip


def _text(row: dict[str, Any]) -> str:
    """A row without what its links to others make of an archived record: the portal counts them anew without archiving it anew, so that
    only the next full read sees the count; and without what is null, since a new property is in new rows only until it has a value.
    """
    row = {name: value for name, value in row.items() if value is not None}
    if row.get("archived"):
        row = {name: value for name, value in row.items() if not name.startswith("num_associated_")}
    return json.dumps(row, sort_keys=True)
