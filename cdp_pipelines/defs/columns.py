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
    in the database, which dbt writes."""
    schema, table = key.path
    shown = [
        dg.TableColumn(name, kind, description=described.get(name) or comment, constraints=dg.TableColumnConstraints(nullable=nullable))
        for name, kind, comment, nullable in db.execute(_COLUMNS, [schema, table]).fetchall()
    ]
    made_of = {
        name: [dg.TableColumnDep(dg.AssetKey([of.schema, of.table]), of.name) for of in found]
        for name, found in lineage.sources(load(), schema, table).items()
    }
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/column_schema": dg.MetadataValue.table_schema(with_origins(key, dg.TableSchema(shown)))
    }
    if made_of:
        metadata["dagster/column_lineage"] = dg.MetadataValue.column_lineage(dg.TableColumnLineage(made_of))
    return metadata


def with_origins(key: dg.AssetKey, schema: dg.TableSchema) -> dg.TableSchema:
    """The same columns, whose descriptions end with where their values come from: only Dagster+ draws the lineage of columns."""
    origins = lineage.origins(load(), *key.path)

    def told(column: dg.TableColumn) -> dg.TableColumn:
        if not (found := origins.get(column.name)):
            return column
        text = f"{column.description or ''} From {', '.join('.'.join(of) for of in found)}.".strip()
        return dg.TableColumn(column.name, column.type, description=text, constraints=column.constraints, tags=column.tags)

    return dg.TableSchema([told(column) for column in schema.columns])
