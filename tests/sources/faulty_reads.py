"""Reading a whole sandbox into a warehouse while it misbehaves, for tests of what the sources make of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines.config import Connection, Settings, connection_from_config
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.report import ExtractReport
from tests.sandbox.faulty import Faulty

# The tables that are read: the largest of each CRM by each way of reading it.
READ = {
    "salesforce": ("contact", "opportunity"),
    "hubspot": ("contacts", "deals", "deal_contact_associations"),
    "marketo": ("leads", "campaigns", "activities"),
}
_QUICK: dict[str, dict[str, Any]] = {
    "salesforce": {"bulk_poll_seconds": 0.01},
    "hubspot": {"calls_per_10_seconds": 10_000, "searches_per_second": 1_000},
    "marketo": {"bulk_poll_seconds": 0.01, "calls_per_20_seconds": 100_000},
}


@dataclass
class Kept:
    """A warehouse that is filled from a sandbox's CRM."""

    sandbox: Faulty
    crm: str
    folder: Path
    tables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.tables = self.tables or READ[self.crm]

    def sync(self, *, full: bool = False, **settings: Any) -> ExtractReport:
        """Read what is new, or all the first time and with `full`."""
        kept = Settings(data_dir=self.folder)
        connection = self.connection(**settings)
        return extract(connection, registry.reader(connection, kept), kept, tables=self.tables, full=full)

    def connection(self, **settings: Any) -> Connection:
        """The sandbox's CRM, without waits that are there for the sake of the real one."""
        config = {**self.sandbox.addresses.connections()[self.crm], "visibility_lag_seconds": 0, "overlap_seconds": 0, "max_attempts": 3}
        return connection_from_config(self.crm, config | _QUICK[self.crm] | settings)

    def rows(self, without: tuple[str, ...] = ()) -> dict[str, list[Any]]:
        """Each table's rows, without what differs from run to run and without columns whose name begins with one of `without`."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as db:
            return {table: sorted(self._rows(db, table, without), key=repr) for table in self.tables}

    def query(self, sql: str) -> list[Any]:
        """Rows of a query of the warehouse."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(sql).fetchall()

    def _rows(self, db: duckdb.DuckDBPyConnection, table: str, without: tuple[str, ...]) -> list[Any]:
        name = f'raw_{self.crm}."{table}"'
        columns = sorted(column for column, *_ in db.execute(f"describe {name}").fetchall())
        chosen = ", ".join(f'"{column}"' for column in columns if not column.startswith(("_synced_at", "_dlt_load_id", *without)))
        return db.execute(f"select {chosen} from {name}").fetchall()


def problems(report: ExtractReport) -> dict[str, str]:
    """What went wrong, by table."""
    return {table.table: f"{table.problem} {table.remedy}" for table in report.tables if table.state != "ok"}
