"""Schema `quality` of the published file: what was measured and what checks found, of the last days."""

from __future__ import annotations

import duckdb

from cdp_pipelines.quality.schema import LOGS, PUBLISHED_DAYS, SCHEMA, TABLES, describe


def write(db: duckdb.DuckDBPyConnection, *, whole: bool) -> None:
    """Write the tables anew from the warehouse, both attached. Without `whole` (a check stopped the run) only the histories: the others say
    what is in the tables, which stay those of the last good run."""
    db.execute(f"create schema if not exists published.{SCHEMA}")
    found = db.execute("select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = ?", [SCHEMA])
    there = {name for (name,) in found.fetchall()}
    for name, table in TABLES.items():
        if name in there and (whole or table.keeps):
            of_late = f"where measured_at > now() at time zone 'UTC' - interval {PUBLISHED_DAYS} day" if table.keeps else ""
            db.execute(f"create or replace table published.{SCHEMA}.{name} as from warehouse.{SCHEMA}.{name} {of_late} order by all")
            describe(db, "published", name)
    for name, table in LOGS.items():
        columns, moment = ", ".join(table.columns), next(iter(table.columns))
        db.execute(
            f"create or replace table published.{SCHEMA}.{name} as select {columns} from warehouse.ops.{name} "
            f"where {moment} > now() at time zone 'UTC' - interval {PUBLISHED_DAYS} day order by {moment}, {columns}"
        )
        describe(db, "published", name)
