"""dlt's DuckDB destination for an encrypted warehouse, which cannot be connected to, only attached: its connections come from `database.py`.

dlt has no way of its own. Given a connection to a database in memory that has the warehouse attached, it would load into the one in memory.
"""

from __future__ import annotations

from typing import ClassVar

import duckdb
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.destinations import duckdb as duckdb_destination
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from cdp_pipelines import database
from cdp_pipelines.config import Settings


class _SqlClient(DuckDbSqlClient):
    settings: Settings

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own; all of one process share the database."""
        self._conn = database.connect(self.settings, self.settings.warehouse)
        for name, value in self._global_config.items():
            self._conn.execute(f"set {name} = '{value}'")
        for pragma in (*(self.credentials.pragmas or ()), *self._pragmas):
            self._conn.execute(f"pragma {pragma}")
        return self._conn

    def close_connection(self) -> None:
        """Close it; the file is closed with the last one."""
        if self._conn:
            self._conn.close()
            self._conn = None  # ty: ignore[invalid-assignment]

    def catalog_name(self, quote: bool = True, casefold: bool = True) -> str | None:
        """Tables are named with the file that they are in."""
        name = self.settings.warehouse.stem
        return self.capabilities.escape_identifier(name) if quote else name


class _Client(DuckDbClient):
    settings: ClassVar[Settings]

    def __init__(self, schema: Schema, config: DuckDbClientConfiguration, capabilities: DestinationCapabilitiesContext):
        super().__init__(schema, config, capabilities)
        plain = self.sql_client
        ours = _SqlClient(plain.dataset_name, plain.staging_dataset_name, config.credentials, capabilities)
        ours.settings = self.settings
        self.sql_client = ours


class EncryptedDuckDb(duckdb_destination):
    """The destination; `of` gives the one of a data directory."""

    settings: Settings

    @classmethod
    def of(cls, settings: Settings, credentials: DuckDbCredentials) -> EncryptedDuckDb:
        """The warehouse of these settings."""
        made = cls(credentials)
        made.settings = settings
        return made

    @property
    def client_class(self) -> type[DuckDbClient]:
        """See dlt's Destination."""
        return type("Client", (_Client,), {"settings": self.settings})
