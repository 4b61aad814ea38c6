"""Checks 11: which of the fields that the CRMs gave are mapped, and which hold values that nothing uses."""

from __future__ import annotations

from datetime import datetime

import duckdb

from cdp_pipelines import mapping
from cdp_pipelines.mapping import BOOKKEEPING

TABLE = "quality.source_fields"
TOLD_HOURS = 24
# The vendors' own bookkeeping comes and goes by itself: of Salesforce only custom fields are told, of HubSpot none of its own analytics.
_OF_PEOPLE = (
    "case source_system when 'salesforce' then raw_column like '%\\_\\_c' escape '\\' when 'hubspot' then not starts_with(raw_column, 'hs_') "
    "and not starts_with(raw_column, 'hubspot_') else true end"
)
# A field that was filled when its table was first read was so before anybody looked; what came later is told for a day.
NEW_AND_UNMAPPED = f"""
    select connection || ':' || raw_table || '.' || raw_column as key, 1 as rows
    from (select *, min(first_filled_at) over (partition by connection, raw_table) as table_since from {TABLE})
    where not is_mapped and is_filled and first_filled_at > table_since and {_OF_PEOPLE}
    and first_filled_at > now() at time zone 'UTC' - interval {TOLD_HOURS} hour"""


def measure(db: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Look at every column of every raw table. `now` is in UTC, without zone."""
    spec, there = mapping.load(), _columns(db)
    looks = [
        _look(kind, table, columns, set(spec.raw_columns(kind, table).values()))
        for kind, tables in spec.raw.items()
        for table in tables
        if (columns := there.get((f"raw_{kind}", table)))
    ]
    db.execute(
        f"create or replace temp table fields as select now.*, coalesce(known.first_filled_at, case when is_filled then $1::timestamp end) "
        f"from ({' union all '.join(looks)}) as now left join (select connection, raw_table, raw_column, first_filled_at from {TABLE}) as known "
        "using (connection, raw_table, raw_column)",
        [now],
    )
    db.execute(f"delete from {TABLE}")
    db.execute(f"insert into {TABLE} from fields")
    db.execute("drop table fields")


def _columns(db: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    """The vendors' columns of every raw table, by schema and table."""
    query = (
        "select schema_name, table_name, column_name from duckdb_columns() where starts_with(schema_name, 'raw_') "
        "order by schema_name, table_name, column_index"
    )
    found: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in db.execute(query).fetchall():
        if column not in BOOKKEEPING and not column.startswith("_dlt_"):
            found.setdefault((schema, table), []).append(column)
    return found


def _look(kind: str, table: str, columns: list[str], mapped: set[str]) -> str:
    """Whether each column has a value in any record that is not deleted, by connection."""
    looked = ", ".join(f"{{'name': '{c}', 'mapped': {c in mapped}, 'filled': coalesce(bool_or(\"{c}\" <> ''), false)}}" for c in columns)
    return f"""
    select connection, '{kind}' as source_system, '{table}' as raw_table, f.name as raw_column, f.mapped as is_mapped, f.filled as is_filled
    from (select connection, unnest([{looked}]) as f from raw_{kind}."{table}" where _deleted is distinct from 'true' group by connection)"""
