"""Cloud warehouses, through dlt's own clients: tables are landed, read and replaced by dlt, and the models are built by dbt's adapter.

`CDP_ENGINE_URL` says which account. What of this was run and what was only compiled: docs/engines.md.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import dlt
import pyarrow as pa
from dlt.destinations.sql_client import SqlClientBase

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.engines.raw import SqlEngine

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 50_000


class Warehouse(SqlEngine):
    """A warehouse that dlt has a SQL client for."""

    url: ClassVar[str]
    """What CDP_ENGINE_URL looks like."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        if settings.engine_url is None:
            raise self.missing("CDP_ENGINE_URL", self.url)
        self._parts = urlsplit(settings.engine_url.get_secret_value())
        if self._parts.scheme != self.name or not self._parts.hostname or not self._complete(self._parts):
            raise ConfigError("CDP_ENGINE_URL", f"is no address of an account for CDP_ENGINE={self.name}", f"Set it to {self.url}.")

    @abstractmethod
    def _complete(self, parts: SplitResult) -> bool:
        """Whether an address says all that is needed."""

    def tables(self, schema: str) -> list[str]:
        """See Engine."""
        with self._client(schema) as client:
            found = client.execute_sql(f"select table_name from information_schema.tables where lower(table_schema) = '{schema}'") or []
        return sorted(str(name).lower() for (name,) in found)

    def run(self, statements: Iterable[str]) -> None:
        """See SqlEngine."""
        with self._client("main") as client:
            for statement in statements:
                client.execute_sql(statement)

    def write(self, schema: str, tables: Mapping[str, pa.Table]) -> None:
        """See Engine."""

        @dlt.source(name=schema)
        def given() -> Iterable[Any]:
            for name, rows in tables.items():
                yield dlt.resource([rows], name=name, write_disposition="replace")

        self._pipeline(schema).run(given(), **self.load_options)

    def read(self, schema: str, table: str) -> pa.RecordBatchReader | pa.Table:
        """See Engine."""
        with self._client(schema) as client, client.execute_query(f"select * from {client.make_qualified_table_name(table)}") as cursor:
            return pa.concat_tables(cursor.iter_arrow(chunk_size=_ROWS_AT_ONCE))

    def forget(self, schema: str, table: str) -> None:
        """See Engine. These keep older versions for as long as the account has them kept, which no statement shortens for one table alone: set the
        account's own retention (Snowflake and Databricks time travel, BigQuery's time travel window) to what your policy allows."""
        log.warning("%s.%s: what was removed goes when the time travel of the account ends.", schema, table)

    def _pipeline(self, schema: str) -> dlt.Pipeline:
        folder = self.settings.data_dir / "dlt"
        return dlt.pipeline(f"{self.name}__{schema}", pipelines_dir=str(folder), dataset_name=schema, destination=self.destination())

    @contextmanager
    def _client(self, schema: str) -> Generator[SqlClientBase[Any]]:
        destination = self.destination()
        config = destination.spec()._bind_dataset_name(dataset_name=schema)
        with destination.client(dlt.Schema(schema), config) as jobs:
            yield jobs.sql_client

    def _asked(self, name: str) -> str | None:
        """A value after the question mark of the address."""
        return next(iter(parse_qs(self._parts.query).get(name, ())), None)

    @property
    def _path(self) -> list[str]:
        return [unquote(part) for part in self._parts.path.split("/") if part]


class Snowflake(Warehouse):
    """A Snowflake database."""

    name = "snowflake"
    dialect = "snowflake"
    url = "snowflake://user:password@account/database?warehouse=...&role=..."

    def _complete(self, parts: SplitResult) -> bool:
        return bool(parts.username and parts.password and parts.path.strip("/") and "warehouse" in parse_qs(parts.query))

    def destination(self) -> Any:
        """See Engine."""
        from dlt.destinations import snowflake

        return snowflake(self._parts.geturl())

    def variables(self) -> dict[str, str]:
        """See Engine."""
        return {
            "CDP_SNOWFLAKE_ACCOUNT": self._parts.hostname or "", "CDP_SNOWFLAKE_USER": unquote(self._parts.username or ""),
            "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": unquote(self._parts.password or ""), "CDP_SNOWFLAKE_DATABASE": self._path[0],
            "CDP_SNOWFLAKE_WAREHOUSE": self._asked("warehouse") or "", "CDP_SNOWFLAKE_ROLE": self._asked("role") or "",
        }  # fmt: skip


class Redshift(Warehouse):
    """A Redshift database."""

    name = "redshift"
    dialect = "redshift"
    url = "redshift://user:password@host:5439/database"

    def _complete(self, parts: SplitResult) -> bool:
        return bool(parts.username and parts.password and parts.path.strip("/"))

    def destination(self) -> Any:
        """See Engine."""
        from dlt.destinations import redshift

        return redshift(self._parts.geturl())

    def variables(self) -> dict[str, str]:
        """See Engine."""
        return {
            "CDP_REDSHIFT_HOST": self._parts.hostname or "", "CDP_REDSHIFT_PORT": str(self._parts.port or 5439),
            "CDP_REDSHIFT_USER": unquote(self._parts.username or ""), "DBT_ENV_SECRET_REDSHIFT_PASSWORD": unquote(self._parts.password or ""),
            "CDP_REDSHIFT_DATABASE": self._path[0],
        }  # fmt: skip


class BigQuery(Warehouse):
    """A Google Cloud project; who asks, Google's own application default credentials say (GOOGLE_APPLICATION_CREDENTIALS)."""

    name = "bigquery"
    dialect = "bigquery"
    url = "bigquery://project?location=EU"

    def _complete(self, parts: SplitResult) -> bool:
        return True

    def destination(self) -> Any:
        """See Engine."""
        from dlt.destinations import bigquery

        return bigquery(location=self._asked("location") or "US", project_id=self._parts.hostname)

    def variables(self) -> dict[str, str]:
        """See Engine."""
        return {"CDP_BIGQUERY_PROJECT": self._parts.hostname or "", "CDP_BIGQUERY_LOCATION": self._asked("location") or "US"}


class Databricks(Warehouse):
    """A catalog of a Databricks SQL warehouse."""

    name = "databricks"
    dialect = "databricks"
    url = "databricks://token:access-token@host/catalog?http_path=/sql/1.0/warehouses/..."

    def _complete(self, parts: SplitResult) -> bool:
        return bool(parts.password and parts.path.strip("/") and "http_path" in parse_qs(parts.query))

    def destination(self) -> Any:
        """See Engine."""
        from dlt.destinations import databricks
        from dlt.destinations.impl.databricks.configuration import DatabricksCredentials

        credentials = DatabricksCredentials()
        credentials.server_hostname, credentials.http_path = self._parts.hostname or "", self._asked("http_path") or ""
        credentials.catalog, credentials.access_token = self._path[0], unquote(self._parts.password or "")
        return databricks(credentials)

    def variables(self) -> dict[str, str]:
        """See Engine."""
        return {
            "CDP_DATABRICKS_HOST": self._parts.hostname or "", "CDP_DATABRICKS_HTTP_PATH": self._asked("http_path") or "",
            "DBT_ENV_SECRET_DATABRICKS_TOKEN": unquote(self._parts.password or ""), "CDP_DATABRICKS_CATALOG": self._path[0],
        }  # fmt: skip
