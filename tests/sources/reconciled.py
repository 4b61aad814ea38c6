"""A CRM, a warehouse that follows it by syncs and reconciles, and what a full sync into an empty one would hold instead."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
from starlette.types import ASGIApp

from cdp_pipelines.config import Connection, Kind, Settings, connection_from_config
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot import api as hubspot
from cdp_pipelines.sandbox.hubspot.limits import HubSpotOptions
from cdp_pipelines.sandbox.marketo import api as marketo
from cdp_pipelines.sandbox.salesforce import api as salesforce
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.reader import RawTable
from cdp_pipelines.sources.reconcile import reconcile
from cdp_pipelines.sources.report import ExtractReport

Row = dict[str, Any]
AT_ONCE: dict[Kind, dict[str, Any]] = {
    "salesforce": {"visibility_lag_seconds": 0, "overlap_seconds": 0, "bulk_poll_seconds": 0.01},
    "hubspot": {"visibility_lag_seconds": 0, "overlap_seconds": 0, "calls_per_10_seconds": 10_000, "searches_per_second": 1_000},
    "marketo": {"visibility_lag_seconds": 0, "overlap_seconds": 0, "bulk_poll_seconds": 0.01, "calls_per_20_seconds": 100_000},
}
_BOOKKEEPING = ("connection", "_synced_at", "_dlt_load_id")


def app_of(kind: Kind, store: Any) -> ASGIApp:
    """The API of a store."""
    if kind == "salesforce":
        return salesforce.app(store)
    if kind == "hubspot":
        return hubspot.app(store, HubSpotOptions(calls_per_10_seconds=None, searches_per_second=None))
    return marketo.app(store)


class Followed:
    """A CRM that is being served at `url`, and warehouses that read it."""

    def __init__(self, kind: Kind, url: str, folder: Path, **settings: Any):
        self.kind, self.folder = kind, folder
        address = {"salesforce": "login_url", "hubspot": "base_url", "marketo": "endpoint"}[kind]
        given = {"salesforce": credentials.SALESFORCE, "hubspot": credentials.HUBSPOT, "marketo": credentials.MARKETO}[kind]
        self.connection: Connection = connection_from_config(kind, {**given, address: url, **AT_ONCE[kind], **settings})
        self.tables: dict[str, RawTable] = {table.name: table for table in registry.TABLES[kind]}

    def settings(self, warehouse: str) -> Settings:
        """The settings of a warehouse, which begins empty."""
        return Settings(data_dir=self.folder / warehouse)

    def sync(self, warehouse: str = "kept", **options: Any) -> ExtractReport:
        """What changed, complete."""
        settings = self.settings(warehouse)
        return _complete(extract(self.connection, registry.reader(self.connection, settings), settings, **options))

    def reconcile(self, warehouse: str = "kept", **options: Any) -> ExtractReport:
        """What a sync does not see, complete."""
        settings = self.settings(warehouse)
        return _complete(reconcile(self.connection, registry.reader(self.connection, settings), settings, **options))

    def rows(self, table: str, warehouse: str = "kept") -> list[Row]:
        """A raw table without what differs from load to load; values that are null are left out."""
        with duckdb.connect(str(self.settings(warehouse).warehouse)) as db:
            found = db.execute(f'from raw_{self.kind}."{table}"').to_arrow_table().to_pylist()
        # Salesforce's two query APIs write the zone of a moment differently.
        return [{k: v.replace("+0000", "Z") for k, v in row.items() if v is not None and k not in _BOOKKEEPING} for row in found]

    def row(self, table: str, record: str) -> Row:
        """One record's row."""
        key = column_name(self.tables[table].key[0])
        (found,) = [row for row in self.rows(table) if row[key] == record]
        return found

    def differences(self) -> dict[str, Any]:
        """Rows that only the warehouse or only a full sync into an empty one has; tombstones and empty sets of which the CRM knows nothing are left out."""
        if (erased := self.settings("kept").privacy_dir).exists():  # a full sync must know, too, who is not to come back
            shutil.copytree(erased, self.settings("fresh").privacy_dir)
        self.sync("fresh")
        found = {}
        for name, table in self.tables.items():
            kept, fresh = self._known(table, "kept"), self._known(table, "fresh")
            told = {_identity(table, row) for row in fresh}
            only = [row for row in kept if row not in fresh and (_identity(table, row) in told or not self._told_by_nobody(table, row))]
            lacking = [row for row in fresh if row not in kept]
            if only or lacking:
                found[name] = {"kept": only[:3], "fresh": lacking[:3]}
        return found

    def _told_by_nobody(self, table: RawTable, row: Row) -> bool:
        """Whether a first read could not find this. Marketo shows opportunities and companies only to those who know their keys."""
        return _is_nothing(table, row) or (self.kind == "marketo" and table.name in ("opportunities", "companies"))

    def _known(self, table: RawTable, warehouse: str) -> list[Row]:
        # A purged record's survivor is told by the warehouse alone.
        return [{k: v for k, v in row.items() if not (k == "_merged_into" and _is_nothing(table, row) and self.kind == "salesforce")}
                for row in self.rows(table.name, warehouse)]  # fmt: skip


def _identity(table: RawTable, row: Row) -> tuple[str | None, ...]:
    return tuple(row.get(column_name(field)) for field in table.replace_by or table.key)


def _is_nothing(table: RawTable, row: Row) -> bool:
    """A tombstone, or the row of an empty set."""
    return row.keys() <= {*map(column_name, table.replace_by or table.key), "_deleted", "_merged_into"}


def _complete(report: ExtractReport) -> ExtractReport:
    assert report.complete, [(t.table, t.problem, t.remedy) for t in report.tables if t.state != "ok"]
    return report
