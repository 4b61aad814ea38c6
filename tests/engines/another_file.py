"""An engine for tests that is another DuckDB file: what goes to it and comes from it takes the ways of every other engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa

from cdp_pipelines.config import Settings
from cdp_pipelines.engines.raw import SqlEngine


class AnotherFile(SqlEngine):
    """One file; CDP_ENGINE_URL is its path."""

    name = "duckdb"
    dialect = "duckdb"

    def __init__(self, settings: Settings):
        super().__init__(settings)
        assert settings.engine_url is not None
        self.path = Path(settings.engine_url.get_secret_value())
        self.statements: list[str] = []
        self.forgotten: list[str] = []

    def destination(self) -> Any:
        return dlt.destinations.duckdb(str(self.path))

    def variables(self) -> dict[str, str]:
        return {"CDP_WAREHOUSE": str(self.path)}

    def tables(self, schema: str) -> list[str]:
        query = "select table_name from information_schema.tables where table_schema = ? order by 1"
        return [name for (name,) in self.ask(query, [schema])]

    def run(self, statements: Iterable[str]) -> None:
        with duckdb.connect(str(self.path)) as db:
            for statement in statements:
                self.statements.append(statement)
                db.execute(statement)

    def write(self, schema: str, tables: Mapping[str, pa.Table]) -> None:
        with duckdb.connect(str(self.path)) as db:
            db.execute(f"create schema if not exists {schema}")
            for name, rows in tables.items():
                db.register("given", rows)
                db.execute(f'create or replace table {schema}."{name}" as from given')

    def forget(self, schema: str, table: str) -> None:
        self.forgotten.append(f"{schema}.{table}")

    def read(self, schema: str, table: str) -> pa.Table:
        with duckdb.connect(str(self.path)) as db:
            return db.execute(f'from {schema}."{table}"').to_arrow_table()

    def ask(self, query: str, values: list[Any] | None = None) -> list[Any]:
        """Rows of a query of the file."""
        if not self.path.exists():
            return []
        with duckdb.connect(str(self.path)) as db:
            return db.execute(query, values or []).fetchall()
