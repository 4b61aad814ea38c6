"""The class of personal data of each column of the published file, table by table."""

from __future__ import annotations

import duckdb

from cdp_pipelines.mapping import Mapping, load
from cdp_pipelines.pii import Pii
from cdp_pipelines.quality import schema
from cdp_pipelines.survivorship import SurvivingField, Unified

Classes = dict[str, dict[str, Pii]]


def classes(spec: Mapping) -> Classes:
    """Table -> column -> class, for every table that is published."""
    found: Classes = {name: {n: field.pii for n, field in entity.fields.items()} for name, entity in spec.entities.items()}
    for name, table in spec.unified.items():
        found[name] = _unified(spec, table)
        found[table.provenance] = provenance(table)
    found |= (spec.consents.classes() if spec.consents else {}) | {name: dict(columns) for name, columns in spec.other_tables.items()}
    return found | schema.classes()


def unclassified(db: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    """The columns (`table.column`) of a published file, attached as `catalog`, that have no class: mapping.yml has to say it."""
    known = classes(load())
    there = db.execute(
        "select table_name, column_name from duckdb_columns() join duckdb_tables() using (database_name, schema_name, table_name) "
        "where database_name = ? order by all",
        [catalog],
    ).fetchall()
    return [f"{table}.{column}" for table, column in there if column not in known.get(table, {})]


def class_of(spec: Mapping, table: Unified, name: str, field: SurvivingField) -> Pii:
    """The class of a unified field: its own, else that of the records' field."""
    return field.pii or spec.entities[table.records].fields[field.value or name].pii


def provenance(table: Unified) -> dict[str, Pii]:
    """The classes of the table that says which record won."""
    return {
        table.key: "id", "field": "none", "connection": "none", table.id: "id", "rule": "none", "record_count": "none", "agreeing_count": "none",
        "beaten": "text",
    }  # fmt: skip


def _unified(spec: Mapping, table: Unified) -> dict[str, Pii]:
    return {
        table.key: "id",
        **{name: class_of(spec, table, name, field) for name, field in table.fields.items()},
        table.count: "none",
        "source_systems": "none",
        **({name: total.pii for name, total in table.totals.fields.items()} if table.totals else {}),
        "is_deleted": "none",
    }
