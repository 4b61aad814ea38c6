"""The columns of a table as Dagster shows them: types as they are in the warehouse, what they mean, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import dagster as dg
import duckdb

from cdp_pipelines import lineage
from cdp_pipelines.mapping import load

_COLUMNS = "select column_name, data_type, comment, is_nullable from duckdb_columns() where schema_name = ? and table_name = ? order by column_index"


def columns(
    db: duckdb.DuckDBPyConnection, key: dg.AssetKey, described: Mapping[str, str] = MappingProxyType({})
) -> dict[str, dg.MetadataValue]:
    """Metadata of a table of the warehouse, whose key is schema and name. A column's description is that of `described`, else its comment
    in the database, which dbt writes; and from where it comes, since only Dagster+ draws the lineage of columns."""
    schema, table = key.path
    origins = lineage.origins(load(), schema, table)

    def told(name: str, comment: str | None) -> str | None:
        text, found = described.get(name) or comment, origins.get(name, ())
        return f"{text or ''} From {', '.join('.'.join(of) for of in found)}.".strip() if found else text

    shown = [
        dg.TableColumn(name, kind, description=told(name, comment), constraints=dg.TableColumnConstraints(nullable=nullable))
        for name, kind, comment, nullable in db.execute(_COLUMNS, [schema, table]).fetchall()
    ]
    made_of = {
        name: [dg.TableColumnDep(dg.AssetKey([of.schema, of.table]), of.name) for of in found]
        for name, found in lineage.sources(load(), schema, table).items()
    }
    metadata: dict[str, dg.MetadataValue] = {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(shown))}
    if made_of:
        metadata["dagster/column_lineage"] = dg.MetadataValue.column_lineage(dg.TableColumnLineage(made_of))
    return metadata
