"""The standardized tables of a warehouse by the SQL that dbt compiles, without dbt's seconds for each of many histories."""

from __future__ import annotations

import json
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cdp_pipelines import transform
from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sources import registry
from tests.sources.histories.quick import QuickWarehouse


class Layers:
    """The raw and the standardized tables of whichever warehouse is looked at; the models are made once, as views."""

    def __init__(self, folder: Path):
        warehouse = QuickWarehouse(folder)
        warehouse.close()
        assert all(result.ok for result in transform.build(transform.LAYERS["standardized"], warehouse.settings))
        target = warehouse.settings.data_dir / "dbt" / "target"
        models = _in_order(json.loads(transform.parse(warehouse.settings, target).read_bytes())["nodes"])
        self.standardized = [model["name"] for model in models if model["schema"] == "standardized"]
        self._db = duckdb.connect(config={"threads": 1})
        # Called as dbt calls it.
        self._db.execute(f"attach '{warehouse.settings.warehouse}' as nothing (read_only); attach ':memory:' as warehouse")
        for schema in (*(f"raw_{kind}" for kind in KINDS), "staging", "standardized"):
            self._db.execute(f"create schema warehouse.{schema}")
        self._see("nothing", KINDS)
        for model in models:
            compiled = (target / "compiled" / "cdp" / model["original_file_path"]).read_text()
            self._db.execute(f'create view warehouse.{model["schema"]}."{model["name"]}" as {compiled}')

    def tables(self, warehouse: Path, kinds: Collection[Kind]) -> dict[str, pa.Table]:
        """The raw tables of some kinds in a file, and the standardized tables that follow from them; all others count as empty."""
        self._db.execute(f"attach '{warehouse}' as file (read_only)")
        try:
            self._see("file", kinds)
            names = [f'raw_{kind}."{table.name}"' for kind in kinds for table in registry.TABLES[kind]]
            names += [f'standardized."{name}"' for name in self.standardized]
            return {name: self._db.execute(f"select * from warehouse.{name}").to_arrow_table() for name in names}
        finally:
            self._see("nothing", kinds)
            self._db.execute("detach file")

    def _see(self, file: str, kinds: Collection[Kind]) -> None:
        """Let the raw tables be those of an attached file."""
        for kind in kinds:
            for table in registry.TABLES[kind]:
                name = f'raw_{kind}."{table.name}"'
                self._db.execute(f"create or replace view warehouse.{name} as select * from {file}.{name}")


def _in_order(nodes: dict[str, Any]) -> list[dict[str, Any]]:
    """The standardized models and what they are made from, each after what it reads."""
    wanted = [i for i, n in nodes.items() if n["resource_type"] == "model" and n["schema"] == "standardized"]
    models: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        models[name] = nodes[name]
        wanted += [d for d in nodes[name]["depends_on"]["nodes"] if d in nodes and d not in models]
    order = TopologicalSorter({i: [d for d in n["depends_on"]["nodes"] if d in models] for i, n in models.items()}).static_order()
    return [models[i] for i in order]
