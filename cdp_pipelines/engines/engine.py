"""What the pipeline needs of an engine other than DuckDB. `choice.elsewhere` gives the one that CDP_ENGINE names.

With another engine the raw tables are landed there by the same dlt sources, and the models are built there by the same dbt project. What
the CLI, the checks, the resolver and the published file read is the warehouse file as ever: `serving.py` shows the engine's tables in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import duckdb
import pyarrow as pa

from cdp_pipelines.config import ConfigError, Kind, Settings
from cdp_pipelines.sources.reader import RawTable

Key = Sequence[str | None]
"""The values of a raw table's key, in its order."""


class Engine(ABC):
    """One engine, as the settings name it. Raises ConfigError where a setting that it needs is missing."""

    name: ClassVar[str]
    """As in CDP_ENGINE; dbt's target and the extra of pyproject.toml are called the same."""
    dialect: ClassVar[str]
    """sqlglot's name of its SQL."""
    load_options: ClassVar[Mapping[str, Any]] = {}
    """What dlt is told of each load."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Columns of raw tables that have another name there."""

    def __init__(self, settings: Settings):
        self.settings = settings

    @abstractmethod
    def destination(self) -> Any:
        """Where dlt loads to."""

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """Environment variables that dlt and dbt's profile need."""

    @abstractmethod
    def tables(self, schema: str) -> list[str]:
        """The names of a schema's tables and views; none where there is no such schema."""

    @abstractmethod
    def write(self, schema: str, tables: Mapping[str, pa.Table]) -> None:
        """Put tables in the place of those of these names, types and all."""

    @abstractmethod
    def keep_newest(self, kind: Kind, connection: str, tables: Iterable[RawTable]) -> None:
        """Of each record of these raw tables only the newest version, of each set only its newest read; or nothing, where a table only grows."""

    @abstractmethod
    def remove(self, kind: Kind, connection: str, table: RawTable, keys: Collection[Key]) -> None:
        """Remove rows of a raw table by key, in all their versions."""

    @abstractmethod
    def change(self, kind: Kind, connection: str, table: RawTable, values: Mapping[Key, Mapping[str, str | None]]) -> None:
        """Give columns of some rows of a raw table, named by key, other values, in all their versions."""

    @abstractmethod
    def retire(
        self, shown: duckdb.DuckDBPyConnection, kind: Kind, connection: str, table: RawTable, since: str, values: Sequence[str]
    ) -> None:
        """What the full read that began at `since` did not see again: sets go, records become tombstones, whose columns `values` are null.

        `shown` is the warehouse file, in which the table is shown as it is."""

    @abstractmethod
    def forget(self, schema: str, table: str) -> None:
        """Keep nothing of what was removed from a table: no older version, no bytes that are no row's any more."""

    def drop_staging(self) -> None:  # noqa: B027  (views hold no rows)
        """Drop staging tables, where they are no views; the next build makes them anew."""

    def prepare(self, db: duckdb.DuckDBPyConnection) -> None:  # noqa: B027  (an engine that is only copied from needs nothing)
        """Let a DuckDB connection read by `relation`."""

    def relation(self, schema: str, table: str) -> str | None:
        """A table as DuckDB reads it in place, as SQL; None where DuckDB cannot, so that rows are copied by `read`."""
        return None

    @abstractmethod
    def read(self, schema: str, table: str) -> pa.RecordBatchReader | pa.Table:
        """A table's rows."""

    def missing(self, setting: str, what: str) -> ConfigError:
        """What to raise where a setting is missing."""
        return ConfigError(setting, f"is missing, which CDP_ENGINE={self.name} needs", f"Set it to {what}.")
