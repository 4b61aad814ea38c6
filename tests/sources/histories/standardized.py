"""The standardized tables of a warehouse by the SQL that dbt compiles, without dbt's seconds for each of many histories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines import transform
from tests.sources.histories.quick import QuickWarehouse

LAYERS = ("staging", "standardized")


@dataclass(frozen=True)
class Model:
    """A view or table and the query behind it."""

    schema: str
    name: str
    materialized: str
    query: str


def compiled(folder: Path) -> list[Model]:
    """The models of the two layers in an order in which they can be made."""
    warehouse = QuickWarehouse(folder)
    warehouse.close()
    assert all(result.ok for result in transform.build(transform.LAYERS["standardized"], warehouse.settings))
    nodes: dict[str, Any] = json.loads((warehouse.settings.data_dir / "dbt" / "target" / "manifest.json").read_bytes())["nodes"]
    wanted = [i for i, n in nodes.items() if n["resource_type"] == "model" and n["schema"] == "standardized"]
    models: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        models[name] = nodes[name]
        wanted += [d for d in nodes[name]["depends_on"]["nodes"] if d in nodes and d not in models]
    order = TopologicalSorter({i: [d for d in n["depends_on"]["nodes"] if d in models] for i, n in models.items()}).static_order()
    return [_model(models[i]) for i in order]


def _model(node: dict[str, Any]) -> Model:
    return Model(node["schema"], node["name"], node["config"]["materialized"], node["compiled_code"])


def build(db: duckdb.DuckDBPyConnection, warehouse: Path, models: list[Model]) -> None:
    """Make the models in memory, in a database that is called as dbt calls it, from the raw tables of a warehouse file."""
    db.execute(f"attach '{warehouse}' as file (read_only); attach ':memory:' as warehouse")
    for schema, table in db.execute("select schema_name, table_name from duckdb_tables() where database_name = 'file'").fetchall():
        db.execute(f"create schema if not exists warehouse.{schema}")
        db.execute(f'create view warehouse.{schema}."{table}" as select * from file.{schema}."{table}"')
    for schema in LAYERS:
        db.execute(f"create schema warehouse.{schema}")
    for model in models:
        kind = "view" if model.materialized == "view" else "table"
        db.execute(f'create {kind} warehouse.{model.schema}."{model.name}" as {model.query}')
