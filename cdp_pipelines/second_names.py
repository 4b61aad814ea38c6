"""Names that a published table also goes by: a unified table's own, which a standardized table has in schema `main` (`companies`)."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from cdp_pipelines import database, mapping

SCHEMA = "unified"


def add(db: duckdb.DuckDBPyConnection, catalog: str, tables: Collection[str]) -> None:
    """Give those of the tables that have a second name a view of it, with the table's descriptions, in a file attached as `catalog`."""
    names = {table: spec.also_named for table, spec in mapping.load().unified.items() if spec.also_named and table in tables}
    if names:
        db.execute(f"create schema if not exists {catalog}.{SCHEMA}")
    for table, name in names.items():
        view = f'{catalog}.{SCHEMA}."{name}"'
        db.execute(f'create view {view} as select * from main."{table}"')
        for kind, of, text in _said(db, catalog, table):
            db.execute(f"comment on {kind} {view}{of} is '{database.quoted(text)}'")


def _said(db: duckdb.DuckDBPyConnection, catalog: str, table: str) -> list[tuple[str, str, str]]:
    where = f"where database_name = '{catalog}' and schema_name = 'main' and table_name = ? and comment is not null"
    return db.execute(
        f"select 'view', '', comment from duckdb_tables() {where} "
        f"union all select 'column', '.\"' || column_name || '\"', comment from duckdb_columns() {where}",
        [table, table],
    ).fetchall()
