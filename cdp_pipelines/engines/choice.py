"""Which engine CDP_ENGINE names."""

from __future__ import annotations

from importlib import import_module

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.engines.engine import Engine

# Imported only when chosen: each needs packages of its own.
_ENGINES = {
    "postgres": "postgres:Postgres", "spark": "spark:Spark", "snowflake": "warehouses:Snowflake", "bigquery": "warehouses:BigQuery",
    "databricks": "warehouses:Databricks", "redshift": "warehouses:Redshift",
}  # fmt: skip


def elsewhere(settings: Settings) -> Engine | None:
    """The engine that keeps and builds the tables; None: DuckDB, in the warehouse file itself. Raises ConfigError."""
    if settings.engine == "duckdb":
        return None
    module, _, name = _ENGINES[settings.engine].partition(":")
    try:
        return getattr(import_module(f"cdp_pipelines.engines.{module}"), name)(settings)
    except ImportError as error:
        remedy = f"Install this project with its extra `{settings.engine}`: pip install 'cdp-pipelines[{settings.engine}]'."
        raise ConfigError("CDP_ENGINE", f"is {settings.engine}, and {error.name} is not installed", remedy) from None


def names_elsewhere(settings: Settings) -> dict[str, str]:
    """Columns of raw tables that have another name in the engine, by ours."""
    engine = elsewhere(settings)
    return dict(engine.renamed) if engine else {}
