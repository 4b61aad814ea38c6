"""What is in each column of the tables that are published, from run to run: one query a table, and no value of a person."""

from __future__ import annotations

from datetime import datetime

import duckdb

from cdp_pipelines import mapping
from cdp_pipelines.classified import classes
from cdp_pipelines.pii import Pii
from cdp_pipelines.quality import moments

TABLE = "quality.column_profiles"
_LAYERS = ("standardized", "unified")


def measure(db: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Profile every standardized and unified table; gives the number of columns (by connection). `now` is in UTC, without zone."""
    known = classes(mapping.load())
    columns = db.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() join duckdb_tables() using (schema_name, table_name) "
        "where schema_name in (?, ?) order by schema_name, table_name, column_index",
        list(_LAYERS),
    ).fetchall()
    tables: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in columns:
        tables.setdefault((schema, table), {})[column] = kind
    moments.make_room(db, TABLE, now)
    for (schema, table), types in tables.items():
        db.execute(f"insert into {TABLE} {_profile(f'{schema}.{table}', table, types, known.get(table, {}))}", [now])
    return db.execute(f"select count(*) from {TABLE} where measured_at = ?", [now]).fetchall()[0][0]


def _profile(relation: str, table: str, types: dict[str, str], known: dict[str, Pii]) -> str:
    connection = "connection" if "connection" in types else "''"
    figures = ", ".join(_figures(column, kind, known.get(column)) for column, kind in types.items())
    where = "where not is_deleted" if "is_deleted" in types else ""
    return f"""
    select $1, '{table}', connection, f.name, f.type, rows, rows - f.given, (rows - f.given) / nullif(rows, 0), f.distinct_values, f.shortest, f.longest,
        f.least, f.greatest
    from (select {connection} as connection, count(*) as rows, unnest([{figures}]) as f from {relation} {where} group by all)"""


def _figures(column: str, kind: str, pii: Pii | None) -> str:
    own = f'"{column}"'
    text, list_ = kind == "VARCHAR", kind.endswith("[]")
    lengths = [f"{of}(length({own}))" if text else "null::bigint" for of in ("min", "max")]
    bounds = [f"{of}({own})::varchar" if pii == "none" and not text and not list_ else "null::varchar" for of in ("min", "max")]
    parts = {"name": f"'{column}'", "type": f"'{kind}'", "given": f"count({own})", "distinct_values": f"approx_count_distinct({own})",
             "shortest": lengths[0], "longest": lengths[1], "least": bounds[0], "greatest": bounds[1]}  # fmt: skip
    return "{" + ", ".join(f"'{name}': {sql}" for name, sql in parts.items()) + "}"
