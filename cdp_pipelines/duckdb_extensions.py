"""DuckDB's extensions from the Python packages that carry them, signed by its makers: nothing is downloaded while the pipeline runs."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

import duckdb

from cdp_pipelines.config import ConfigError


@cache
def file_of(name: str, setting: str) -> Path:
    """The file of an extension (`httpfs`, `postgres_scanner`, `iceberg` ...) for the DuckDB that is installed.

    Raises ConfigError, about the setting that needs it, where its package is missing or of another DuckDB.
    """
    package = f"duckdb-extension-{name.replace('_', '-')}"
    remedy = f"Install {package}=={duckdb.__version__}, or unset {setting}."
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise ConfigError(setting, f"needs the package {package}", remedy) from None
    found = Path(module.__file__ or "").parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not found.exists():
        raise ConfigError(setting, f"needs {package} as old as duckdb", remedy)
    return found
