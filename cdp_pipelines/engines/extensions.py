"""DuckDB's extensions from the Python packages that carry them: nothing is downloaded while the pipeline runs."""

from __future__ import annotations

import importlib
from pathlib import Path

import duckdb

from cdp_pipelines.config import ConfigError


def load(db: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Load extensions (`postgres_scanner`, `iceberg` ...) into a connection. Raises ConfigError where a package is missing or of another DuckDB."""
    for name in names:
        db.execute("load '{}'".format(str(_file(name)).replace("'", "''")))


def _file(name: str) -> Path:
    package = f"duckdb-extension-{name.replace('_', '-')}"
    remedy = f"Install {package}=={duckdb.__version__}, which comes with the engine's extra of this project."
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise ConfigError("CDP_ENGINE", f"names an engine that needs the package {package}", remedy) from None
    found = Path(module.__file__ or "").parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not found.exists():
        raise ConfigError("CDP_ENGINE", f"names an engine that needs {package} as old as duckdb", remedy)
    return found
